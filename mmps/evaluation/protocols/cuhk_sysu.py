"""CUHK-SYSU's protocol (Xiao et al., CVPR 2017): each query has a gallery of its own."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from mmps.datasets.cuhk_sysu_files import FRAMES, LAYOUT
from mmps.datasets.cuhk_sysu_search import FULL_SET, SearchFile, load_search_file, search_file
from mmps.datasets.cuhk_sysu_structs import corner_boxes
from mmps.datasets.messages import examples
from mmps.datasets.person_search_dataset import check_layout
from mmps.evaluation.functional.protocol import Protocol
from mmps.evaluation.predictions import Predictions
from mmps.registry import PROTOCOLS


@PROTOCOLS.register_module()
def cuhk_sysu_protocol(
    predictions: Predictions,
    *,
    data_root: str | os.PathLike[str] | None = None,
    gallery_size: int = 100,
    subset: str | None = None,
) -> Protocol:
    """Every query is searched in the images that a test file lists for it.

    A target is the box that the file gives in such an image, whatever the annotations say. The
    published files have six oddities, which count as in SeqNet's code: two queries are searched in
    their own image, too, and four galleries list an image twice, which is ranked once but counts
    twice in what there is to find.

    Args:
        predictions: of the test images, with the queries of the test file; which is which is
            told by the images' names and the queries' boxes.
        data_root: the folder of CUHK-SYSU; only the test file is read. By default the one that the
            predictions' images are in.
        gallery_size: 50, 100, 500, 1000, 2000, 4000, or -1 for the full set: the targets of
            ``TestG50.mat``, looked for in all images (see ``full_set`` of
            :class:`~mmps.evaluation.functional.protocol.Protocol` for what SeqNet's code does).
        subset: 'Occlusion' or 'Resolution': the queries and galleries of that file.

    Raises:
        FileNotFoundError: there is no such folder, or the test file is not in it.
        ValueError: without ``data_root``, images in another folder than ``Image/SSM``; no such
            gallery size or subset, or a test file that is damaged or makes no
            sense (the message names file and entry); or an image of it is not among those of the
            predictions, or a query of it not among theirs.
    """
    file, key = search_file(gallery_size=gallery_size, subset=subset)
    root = _folder_of_images(predictions) if data_root is None else os.fspath(data_root)
    check_layout(root, [file], frames=None, layout=LAYOUT)
    path = Path(root) / file
    tests = load_search_file(path, key)
    image = _find_images(predictions, tests, path)
    queries = _find_queries(predictions, tests, image, f'{path}: query {{}} of {key!r}')
    in_order = np.array_equal(queries, np.arange(predictions.num_queries))
    return Protocol(
        num_images=predictions.num_images,
        target_image=image[tests.target_image],
        target_bboxes=corner_boxes(tests.target_xywh),
        target_indptr=tests.target_indptr,
        target_indices=np.arange(len(tests.target_image)),
        own_image=image[tests.query_image],
        gallery_indptr=tests.gallery_indptr,
        gallery_images=image[tests.gallery_image],
        full_set=gallery_size == FULL_SET,
        num_to_find=tests.num_to_find,
        queries=None if in_order else queries,
    )


def _folder_of_images(predictions: Predictions) -> str:
    """The folder of CUHK-SYSU that the images of predictions are in."""
    folders = {os.path.dirname(path) for path in predictions.image_paths.tolist()}
    frames = os.path.join(os.sep, *FRAMES.split('/'))
    folder = folders.pop() if len(folders) == 1 else ''
    if not folder.endswith(frames):
        raise ValueError(
            f'the images of the predictions are not in {FRAMES} of a folder of CUHK-SYSU: give '
            'mmps.cuhk_sysu_protocol its data_root'
        )
    return folder.removesuffix(frames)


def _find_images(predictions: Predictions, tests: SearchFile, path: Path) -> np.ndarray:
    """Where the images of a test file are among those of the predictions, (I,) int64."""
    places = {name: place for place, name in enumerate(predictions.image_names.tolist())}
    names = tests.images.tolist()
    missing = [name for name in names if name not in places]
    if missing:
        raise ValueError(
            f'{path}: {len(missing)} of {len(names)} images are not among the '
            f'{predictions.num_images} of the predictions: {examples(missing)}; the protocol needs '
            'predictions for all test images of CUHK-SYSU'
        )
    return np.array([places[name] for name in names], np.int64)


def _find_queries(
    predictions: Predictions, tests: SearchFile, image: np.ndarray, where: str
) -> np.ndarray:
    """Where the queries of a test file are among those of the predictions, (Q,) int64.

    Boxes that went through a network's input may differ by less than a pixel.
    """
    on_image = defaultdict(list)
    for query, place in enumerate(predictions.query_image.tolist()):
        on_image[place].append(query)
    queries = []
    boxes = corner_boxes(tests.query_xywh)
    for number, (place, box) in enumerate(
        zip(image[tests.query_image].tolist(), boxes, strict=True), 1
    ):
        candidates = on_image[place]
        distance = np.abs(predictions.query_bboxes[candidates] - box).max(axis=1, initial=0)
        if not candidates or distance.min() >= 1:
            raise ValueError(
                f'{where.format(number)} ({predictions.image_names[place]}, x1, y1, x2, y2 = '
                f'{box.tolist()}) is not among the {predictions.num_queries} queries of the '
                'predictions: they must come from CUHKSYSUDataset, with the same subset'
            )
        queries.append(candidates[int(distance.argmin())])
    return np.array(queries, np.int64)
