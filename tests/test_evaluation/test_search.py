"""Searches as data, the protocols that they name, and what they give on odd predictions."""

from typing import Any

import numpy as np
import pytest
from mmengine.config import ConfigDict

from mmps.evaluation import (
    Predictions,
    Search,
    build_protocol,
    custom_protocol,
    evaluate_predictions,
    first_detection_search,
    make_searches,
    prw_protocol,
    recorded_searches,
    recorded_settings,
    search_arguments,
    search_predictions,
)
from mmps.evaluation.functional import person_search
from mmps.registry import PROTOCOLS

LEFT, RIGHT = (0.0, 0.0, 50.0, 100.0), (200.0, 0.0, 250.0, 100.0)
NOTHING = dict(recall=0.0, AP=0.0)
NOT_FOUND = dict(mAP=0.0, top1=0.0, top5=0.0, top10=0.0)


def make_predictions(**changes: Any) -> Predictions:
    """Person 0 is left on all four images, person 1 right on the first three.

    Images 0 and 1 are of camera 1, 2 and 3 of camera 2; sequences are 5, 6, 6, 7. The queries are
    both persons of image 0.
    """
    arrays: dict[str, Any] = dict(
        image_names=np.array(['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg']),
        image_paths=np.array(['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg']),
        camera_ids=np.array([1, 1, 2, 2]),
        sequence_ids=np.array([5, 6, 6, 7]),
        image_sizes=np.full((4, 2), 300),
        det_image=np.array([0, 0, 1, 1, 2, 3]),
        det_bboxes=np.array([LEFT, RIGHT, LEFT, RIGHT, LEFT, LEFT], np.float32),
        det_scores=np.array([1, 1, 0.9, 0.5, 0.8, 0.7], np.float32),
        det_embeddings=np.array([[1, 0], [0, 1], [0.8, 0.6], [0.28, 0.96], [1, 0], [0, 1]], float),
        gt_image=np.array([0, 0, 1, 1, 2, 2, 3]),
        gt_bboxes=np.array([LEFT, RIGHT, LEFT, RIGHT, LEFT, RIGHT, LEFT], np.float32),
        gt_pids=np.array([0, 1, 0, 1, 0, 1, 0]),
        gt_embeddings=np.zeros((7, 0)),
        query_image=np.array([0, 0]),
        query_bboxes=np.array([LEFT, RIGHT], np.float32),
        query_pids=np.array([0, 1]),
        query_ids=np.array([0, 1]),
        query_embeddings=np.array([[1, 0], [0, 1]], float),
    )
    return Predictions(**{**arrays, **changes})


def aps(predictions: Predictions, **settings: Any) -> list[float]:
    return search_predictions(predictions, Search(**settings)).ap.tolist()


def protocol(name: str, **arguments: Any) -> dict[str, Any]:
    return dict(type=f'mmps.{name}', **arguments)


def test_settings_change_the_ranking() -> None:
    # Person 0 with CWS: .8 (c), .72 (b), .14 (wrong), 0 (d): found at ranks 1, 2, and 4.
    # Person 1: .7 (d, wrong), .54 (b left, wrong), .48 (b right), 0; nobody detected it on c.
    predictions = make_predictions()
    assert aps(predictions) == pytest.approx([(1 + 1 + 3 / 4) / 3, (1 / 3) / 2])
    # Without it d comes before b's right, .96, and b's left, .6.
    assert aps(predictions, cws=False) == pytest.approx([(1 + 1 + 3 / 4) / 3, (1 / 2) / 2])
    # b's right is gone, so that nothing is left of person 1 and nothing is wrong for person 0.
    assert aps(predictions, score_thr=0.6) == pytest.approx([1, 0])
    # Moved, b's left has an IoU of 2 / 3 with the person.
    moved = predictions.det_bboxes.copy()
    moved[2] += [10, 0, 10, 0]
    moved = make_predictions(det_bboxes=moved)
    assert aps(moved, iou_thr=0.7) == pytest.approx([(1 + 2 / 4) / 3, (1 / 3) / 2])
    assert aps(moved, iou_thr=0.6) == aps(predictions)


def test_protocols_leave_out_images() -> None:
    predictions = make_predictions()
    whole = aps(predictions, protocol=protocol('prw_protocol'))
    assert whole == aps(predictions)
    assert whole == aps(predictions, protocol=protocol('custom_protocol'))
    # Of camera 2: c (.8, right) and d (0, right) for person 0; d (.7, wrong) for person 1.
    other_cameras = aps(predictions, protocol=protocol('prw_protocol', cross_camera=True))
    assert other_cameras == [1, 0]
    assert other_cameras == aps(predictions, protocol=protocol('custom_protocol', exclude='camera'))
    predictions.sequence_ids[:2] = 5
    sequences = protocol('custom_protocol', exclude='sequence')
    assert aps(predictions, protocol=sequences) == other_cameras
    predictions.sequence_ids[3] = 5  # only c is left, on which nobody detected person 1
    result = search_predictions(predictions, Search(protocol=sequences))
    assert result.ap.tolist() == [1, 0]
    assert result.num_targets.tolist() == [1, 1]


def test_protocols_need_the_cameras_and_sequences_that_they_leave_out() -> None:
    unknown = make_predictions(
        camera_ids=np.array([1, 1, 2, -1]), sequence_ids=np.array([3, -1, -1, 3])
    )
    custom_protocol(unknown)
    for call in (
        lambda: prw_protocol(unknown, cross_camera=True),
        lambda: custom_protocol(unknown, exclude='camera'),
    ):
        with pytest.raises(ValueError, match=r"1 of 4 images have no camera_id, first 'd\.jpg'"):
            call()
    with pytest.raises(ValueError, match=r"2 of 4 images have no sequence_id, first 'b\.jpg'"):
        custom_protocol(unknown, exclude='sequence')
    with pytest.raises(ValueError, match="exclude='scene' is not one of image, camera, sequence"):
        custom_protocol(unknown, exclude='scene')  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (protocol('no_protocol'), r"no protocol 'mmps\.no_protocol'; .* mmps\.custom_protocol"),
        (dict(type='prw'), r"no protocol 'prw'; registered are .*mmps\.prw_protocol"),
        (protocol('prw_protocol', camera=1), "prw_protocol': got an unexpected .* 'camera'"),
    ],
)
def test_a_protocol_that_is_not_there_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_protocol(settings, make_predictions())


def test_one_can_register_a_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROTOCOLS, '_module_dict', PROTOCOLS.module_dict.copy())

    @PROTOCOLS.register_module()
    def other_sequences(predictions: Predictions) -> Any:
        return custom_protocol(predictions, exclude='sequence')

    search = Search(protocol=dict(type='mmps.other_sequences'))
    assert search_predictions(make_predictions(), search).num_targets.tolist() == [3, 2]


def test_make_searches_takes_a_config() -> None:
    searches = make_searches(
        ConfigDict(search=dict(), reid=dict(gallery='ground_truth', cbgm=dict(k1=3, k2=2)))
    )
    assert searches['search'] == Search()
    assert searches['reid'] == Search(gallery='ground_truth', cbgm=dict(k1=3, k2=2))
    assert first_detection_search(dict(reversed(searches.items()))) is searches['search']
    with pytest.raises(ValueError, match='no search among detections'):
        first_detection_search({'reid': searches['reid']})


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ([], 'searches must be a dict'),
        (dict(det={}), "'det' cannot be a name"),
        ({'a/b': {}}, "'a/b' cannot be a name"),
        (dict(search=3), r"searches\['search'\] must be a dict of settings, got 3"),
        (
            dict(search=dict(cw=1)),
            r"searches\['search'\] has no setting 'cw'; there are prot",
        ),
        (dict(a=dict(matching='loose')), r"searches\['a'\]: matching='loose' is not one of publ"),
        (dict(a=dict(gallery='gt')), "gallery='gt' is not one of detections, ground_truth"),
        (dict(a=dict(score_thr='0.5')), "score_thr='0.5' is not a number"),
        (dict(a=dict(protocol='prw')), "protocol='prw' must be a dict with the name of a 'type'"),
        (dict(a=dict(protocol=dict(type=3))), "must be a dict with the name of a 'type'"),
        (dict(a=dict(cbgm=dict(k1=3))), r'must be dict\(k1=, k2=\) of positive integers'),
        (dict(a=dict(cbgm=dict(k1=3, k2=0))), 'of positive integers'),
        (dict(a=dict(cbgm=(30, 4))), 'of positive integers'),
    ],
)
def test_wrong_settings_are_named(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_searches(settings)


def test_recorded_settings() -> None:
    predictions = make_predictions()
    assert recorded_settings(predictions) == {'searches': {'search': Search()}}
    predictions.meta = {
        'evaluation': {'searches': {'a': {'cws': False}}, 'topk': [2], 'other': 'ignored'}
    }
    assert recorded_settings(predictions) == {'searches': {'a': Search(cws=False)}, 'topk': [2]}
    assert recorded_searches(predictions) == {'a': Search(cws=False)}
    for wrong in ({'searches': {'a': {'b': 1}}}, {'searches': 3}, 'x'):
        predictions.meta = {'evaluation': wrong}
        with pytest.raises(ValueError, match=r"meta\['evaluation'\]: "):
            recorded_settings(predictions)


def test_annotated_boxes_as_gallery() -> None:
    predictions = make_predictions()
    with pytest.raises(ValueError, match=r'^reid: .*test_cfg\.embed_ground_truth=True'):
        evaluate_predictions(predictions, searches=dict(reid=Search(gallery='ground_truth')))
    embeddings = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6], [1, 0], [0, 1], [0.96, 0.28]])
    embedded = make_predictions(gt_embeddings=embeddings)
    # Person 0: c 1, d .96, b right .8 (wrong), b left .6. Person 1: c 1, b left .8 (wrong), .6.
    expected = pytest.approx([(1 + 1 + 3 / 4) / 3, (1 + 2 / 3) / 2])
    assert aps(embedded, gallery='ground_truth') == expected
    # Scores are 1: neither the threshold nor the weights matter.
    assert aps(embedded, gallery='ground_truth', score_thr=1.0, cws=False) == expected
    arguments = search_arguments(embedded, Search(gallery='ground_truth'))
    assert arguments['det_scores'].tolist() == [1] * 7
    # Companions are annotated boxes, too: on b the person beside the query takes the left box with
    # a similarity of .8, which the right one, that falls to the query, takes over.
    cbgm = search_arguments(embedded, Search(gallery='ground_truth', cbgm=dict(k1=9, k2=2)))
    similarities = np.array([1, 0, 0.6, 0.7, 1, 0, 0.96], np.float32)
    cbgm['rerank'](0, np.arange(7), similarities)
    np.testing.assert_allclose(similarities, [1, 0, 0.6, 0.8, 1, 0, 0.96], rtol=1e-6)


def test_every_search_is_reported_under_its_name() -> None:
    searches = make_searches(
        dict(weighted={}, plain=dict(cws=False), strict=dict(matching='strict'))
    )
    metrics = evaluate_predictions(make_predictions(), searches=searches, topk=(1, 2))
    assert metrics['weighted/mAP'] == pytest.approx((2.75 / 3 + 1 / 6) / 2)
    assert metrics['plain/mAP'] == pytest.approx((2.75 / 3 + 1 / 4) / 2)
    assert metrics['strict/mAP'] == pytest.approx((2.75 / 3 + 1 / 6) / 2)
    assert [metrics[f'plain/top{k}'] for k in (1, 2)] == [0.5, 1]
    assert len(metrics) == 2 + 3 * 3
    only_detection = evaluate_predictions(make_predictions(), searches={})
    assert only_detection == pytest.approx({'det/recall': 6 / 7, 'det/AP': 6 / 7})


def without_detections() -> dict[str, Any]:
    return dict(
        det_image=np.zeros(0),
        det_bboxes=np.zeros((0, 4)),
        det_scores=np.zeros(0),
        det_embeddings=np.zeros((0, 2)),
    )


ALL = make_searches(
    dict(
        search={},
        strict=dict(matching='strict'),
        cbgm=dict(cbgm=dict(k1=3, k2=2)),
        cross=dict(protocol=protocol('prw_protocol', cross_camera=True)),
    )
)


def expect(predictions: Predictions, *, det: dict[str, float], found: dict[str, float]) -> None:
    expected = {f'det/{key}': value for key, value in det.items()}
    for name in ALL:
        expected.update({f'{name}/{key}': value for key, value in found.items()})
    assert evaluate_predictions(predictions, searches=ALL) == pytest.approx(expected)


def test_without_detections_everything_is_zero() -> None:
    expect(make_predictions(**without_detections()), det=NOTHING, found=NOT_FOUND)
    low = make_predictions(det_scores=np.full(6, 0.005))
    expect(low, det=NOTHING, found=NOT_FOUND)


def test_queries_whose_gallery_has_no_images_are_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(person_search, 'print_log', lambda text, **kwargs: warnings.append(text))
    one_camera = make_predictions(camera_ids=np.array([3, 3, 3, 3]))
    cross = dict(cross=ALL['cross'])
    metrics = evaluate_predictions(one_camera, searches=cross)
    assert metrics == pytest.approx(
        {'det/recall': 6 / 7, 'det/AP': 6 / 7, **{f'cross/{k}': v for k, v in NOT_FOUND.items()}}
    )
    assert warnings == [
        'cross: the persons of 2 of 2 queries are nowhere in their gallery; these queries count '
        'as not found'
    ]


def test_the_query_of_an_only_image_is_not_found() -> None:
    alone = Predictions(
        image_names=np.array(['a.jpg']),
        image_paths=np.array(['a.jpg']),
        camera_ids=np.array([1]),
        sequence_ids=np.array([1]),
        image_sizes=np.array([[300, 300]]),
        det_image=np.array([0]),
        det_bboxes=np.array([LEFT]),
        det_scores=np.array([0.9]),
        det_embeddings=np.array([[1.0, 0.0]]),
        gt_image=np.array([0]),
        gt_bboxes=np.array([LEFT]),
        gt_pids=np.array([0]),
        gt_embeddings=np.array([[1.0, 0.0]]),
        query_image=np.array([0]),
        query_bboxes=np.array([LEFT]),
        query_pids=np.array([0]),
        query_ids=np.array([0]),
        query_embeddings=np.array([[1.0, 0.0]]),
    )
    expect(alone, det=dict(recall=1.0, AP=1.0), found=NOT_FOUND)
    assert aps(alone, gallery='ground_truth') == [0]


def test_without_annotated_persons_nobody_is_found() -> None:
    nobody = make_predictions(
        gt_image=np.zeros(0),
        gt_bboxes=np.zeros((0, 4)),
        gt_pids=np.zeros(0),
        gt_embeddings=np.zeros((0, 0)),
    )
    expect(nobody, det=NOTHING, found=NOT_FOUND)
    assert aps(nobody, gallery='ground_truth') == [0, 0]


def test_zero_embeddings_are_similar_to_nobody() -> None:
    # All similarities are 0 and pass the threshold together: of four detections three, and one.
    zero = make_predictions(det_embeddings=np.zeros((6, 2)))
    assert aps(zero) == pytest.approx([3 / 4, (1 / 4) / 2])
    assert aps(make_predictions(query_embeddings=np.zeros((2, 2)))) == aps(zero)


def test_boxes_may_reach_beyond_the_image() -> None:
    predictions = make_predictions()
    for name in ('det_bboxes', 'gt_bboxes', 'query_bboxes'):
        getattr(predictions, name)[:, [0, 2]] -= 1000
    assert aps(predictions) == aps(make_predictions())


def test_an_image_of_which_no_query_is_takes_part() -> None:
    # The query's own image need not be in its gallery, and is not: all others are searched.
    elsewhere = make_predictions(query_image=np.array([3, 3]))
    result = search_predictions(elsewhere)
    assert result.num_targets.tolist() == [3, 3]
    assert result.ranked_det[0, :5].tolist() == [0, 4, 2, 3, 1]
