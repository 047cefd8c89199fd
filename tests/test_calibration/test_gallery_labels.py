import numpy as np
import pytest
from labelled_images import BOX, OTHER, embedding, make_gallery, write_annotations

from mmps.calibration import labelled_gallery

IMAGES = {
    '/videos/yard/a.jpg': [(BOX, embedding(1)), (OTHER, embedding(0, 1))],
    '/videos/yard/b.jpg': [((1, 1, 51, 101), embedding(3, 4))],
    '/videos/gate/a.jpg': [(OTHER, embedding(0, 3, 4))],
    '/videos/gate/empty.jpg': [],
    '/videos/not_annotated.jpg': [(BOX, embedding(1))],
}
LABELS = {
    'gate/a.jpg': ([(OTHER, 31)], 1),
    'gate/empty.jpg': ([(BOX, 30)], 1),
    'yard/a.jpg': ([(BOX, 30), (OTHER, 31)], 0),
    'yard/b.jpg': ([(BOX, 30)], 0),
    'yard/not_indexed.jpg': ([(BOX, 30)], 0),
}


def test_both_put_together(tmp_path):
    gallery = make_gallery(tmp_path / 'gallery', IMAGES)
    predictions = labelled_gallery(gallery, write_annotations(tmp_path / 'labels.json', LABELS))
    assert predictions.image_names.tolist() == [
        'gate/a.jpg',
        'gate/empty.jpg',
        'yard/a.jpg',
        'yard/b.jpg',
    ]
    assert predictions.image_paths[2] == '/videos/yard/a.jpg'
    assert predictions.camera_ids.tolist() == [1, 1, 0, 0]
    assert predictions.meta['model_id'] == 'abc'
    order = np.lexsort((predictions.det_bboxes[:, 0], predictions.det_image))
    assert predictions.det_image[order].tolist() == [0, 2, 2, 3]
    np.testing.assert_allclose(
        predictions.det_embeddings[order],
        [embedding(0, 3, 4), embedding(1), embedding(0, 1), embedding(3, 4)],
    )
    assert predictions.gt_image.tolist() == [0, 1, 2, 2, 3]
    assert predictions.gt_pids.tolist() == [31, 30, 30, 31, 30]

    # Each person once in each camera; the one in gate/empty.jpg was not detected.
    assert sorted(predictions.query_pids.tolist()) == [30, 31, 31]
    for query, image in enumerate(predictions.query_image):
        expected = {
            (30, 2): embedding(1),
            (30, 3): embedding(3, 4),
            (31, 0): embedding(0, 3, 4),
            (31, 2): embedding(0, 1),
        }[predictions.query_pids[query], image]
        np.testing.assert_allclose(predictions.query_embeddings[query], expected)


def test_what_cannot_be_put_together(tmp_path):
    gallery = make_gallery(tmp_path / 'gallery', IMAGES)
    labels = tmp_path / 'labels.json'
    write_annotations(labels, {'elsewhere/a.jpg': ([(BOX, 1)], 0)})
    with pytest.raises(
        ValueError, match=r"none of its images is in the gallery .* file's file_name"
    ):
        labelled_gallery(gallery, labels)
    write_annotations(labels, {'a.jpg': ([(BOX, 1)], 0)})
    with pytest.raises(ValueError, match=r"file_name 'a.jpg' could be /videos/gate/a.jpg or"):
        labelled_gallery(gallery, labels)
    small = (100, 0, 110, 10)
    nobody = {'yard/a.jpg': ([(small, 1)], 0), 'yard/b.jpg': ([(small, 1)], 0)}
    with pytest.raises(ValueError, match='none of the 1 persons to look for was detected'):
        labelled_gallery(gallery, write_annotations(labels, nobody))
    with pytest.raises(FileNotFoundError, match=r'missing\.json'):
        labelled_gallery(gallery, tmp_path / 'missing.json')
