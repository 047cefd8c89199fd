"""A gallery whose images are annotated with identities, as predictions that can be evaluated."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmps.datasets.annotations import Annotations, Box, draw_queries
from mmps.datasets.coco_files import load_annotations
from mmps.evaluation import Predictions
from mmps.evaluation.functional.matching import paired_iou, target_iou_threshold
from mmps.gallery import Gallery, gallery_schema, to_arrays


def labelled_gallery(gallery: Gallery, annotations: str | os.PathLike[str]) -> Predictions:
    """Put the persons of a gallery and the annotation of its images together.

    The model is not needed: a query is embedded as the detection that overlaps its box most. Images
    that only one of the two has are left out, as are queries whose person was not detected.

    Args:
        gallery: of images; videos are not looked at.
        annotations: COCO JSON with identities (docs/custom_data.md). A ``file_name`` is an image
            of the gallery if the image's path ends in it. Without ``queries`` there is one for
            every person and camera.

    Returns:
        Detections of all scores that the gallery has, ``image_paths`` as the gallery names them.

    Raises:
        FileNotFoundError: if there is no such annotation file.
        ValueError: if the file makes no sense, names no image of the gallery, or one that several
            images could be; or if no query's person was detected.
    """
    labels = load_annotations(Path(annotations))
    sources = _match(
        [scene.file_name for scene in labels.scenes], [s.source for s in gallery.sources()]
    )
    if not sources:
        raise ValueError(
            f'{annotations}: none of its images is in the gallery {gallery.root}; the path of an '
            "image must end in the file's file_name"
        )
    scenes = [scene for scene in labels.scenes if scene.file_name in sources]
    queries = labels.queries
    if queries is None:
        queries = draw_queries(Annotations(scenes))
    queries = [query for query in queries if query.file_name in sources]
    place = {scene.file_name: index for index, scene in enumerate(scenes)}
    place_of_source = {sources[name]: index for name, index in place.items()}
    rows = _rows(gallery, list(place_of_source))
    det_image = np.array([place_of_source[s] for s in rows['source'].to_pylist()], np.int64)
    det_bboxes, det_embeddings = to_arrays(rows['bbox']), to_arrays(rows['embedding'])
    query_image = np.array([place[query.file_name] for query in queries], np.int64)
    query_bboxes = _corners([query.box for query in queries])
    detection = _detections(query_image, query_bboxes, det_image, det_bboxes=det_bboxes)
    found = detection >= 0
    if not found.any():
        raise ValueError(
            f'{annotations}: none of the {len(queries)} persons to look for was detected in the '
            f'images of the gallery {gallery.root}'
        )
    persons = [
        (index, person)
        for index, scene in enumerate(scenes)
        for person in scene.persons
        if not person.ignored
    ]
    return Predictions(
        image_names=np.array(list(place)),
        image_paths=np.array(list(place_of_source)),
        camera_ids=np.array([scene.camera_id for scene in scenes]),
        sequence_ids=np.array([scene.sequence_id for scene in scenes]),
        image_sizes=np.zeros((len(scenes), 2), np.int64),
        det_image=det_image,
        det_bboxes=det_bboxes,
        det_scores=rows['score'].to_numpy(),
        det_embeddings=det_embeddings,
        gt_image=np.array([index for index, _ in persons], np.int64),
        gt_bboxes=_corners([person.box for _, person in persons]),
        gt_pids=np.array([person.person_id for _, person in persons], np.int64),
        gt_embeddings=np.zeros((len(persons), 0), np.float32),
        query_image=query_image[found],
        query_bboxes=query_bboxes[found],
        query_pids=np.array([query.person_id for query in queries], np.int64)[found],
        query_ids=np.flatnonzero(found),
        query_embeddings=det_embeddings[detection[found]],
        meta={'model_id': gallery.model_id, 'annotations': Path(annotations).name},
    )


def _match(names: Iterable[str], sources: Iterable[str]) -> dict[str, str]:
    """The source that each name is the end of, where there is one."""
    by_parts = {PurePath(name).parts: name for name in names}
    lengths = sorted({len(parts) for parts in by_parts}, reverse=True)
    found: dict[str, str] = {}
    for source in sources:
        parts = PurePath(source).parts
        name = next((by_parts[end] for n in lengths if (end := parts[-n:]) in by_parts), None)
        if name is None:
            continue
        if name in found:
            raise ValueError(
                f"file_name '{name}' could be {found[name]} or {source} of the gallery: write "
                'more of the path into the annotation file'
            )
        found[name] = source
    return found


def _rows(gallery: Gallery, sources: Sequence[str]) -> pa.Table:
    """The persons of some sources."""
    columns = ['source', 'bbox', 'score', 'embedding']
    tables = [gallery_schema(gallery.embed_dim).empty_table().select(columns)]
    for shard in gallery.shards():
        table = gallery.read(shard, columns=columns)
        wanted = pc.is_in(table['source'], value_set=pa.array(sources, pa.string()))
        tables.append(table.filter(wanted))
    return pa.concat_tables(tables)


def _corners(boxes: Sequence[Box]) -> np.ndarray:
    """Boxes x, y, w, h as x1, y1, x2, y2, (N, 4) float32."""
    boxes_array = np.array(boxes, np.float64).reshape(-1, 4)
    boxes_array[:, 2:] += boxes_array[:, :2]
    return boxes_array.astype(np.float32)


def _detections(
    image: np.ndarray, bboxes: np.ndarray, det_image: np.ndarray, *, det_bboxes: np.ndarray
) -> np.ndarray:
    """The detection that overlaps each box most, -1 where none does enough, (Q,)."""
    thresholds = target_iou_threshold(bboxes)
    best = np.full(len(bboxes), -1)
    for query, box in enumerate(bboxes):
        inside = np.flatnonzero(det_image == image[query])
        iou = paired_iou(det_bboxes[inside], np.tile(box, (len(inside), 1)))
        if len(inside) and iou.max() >= thresholds[query]:
            best[query] = inside[iou.argmax()]
    return best
