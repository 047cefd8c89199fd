"""A gallery of images in which some persons are annotated, made without a model."""

import json
from pathlib import Path

import numpy as np

from mmps.gallery import Coverage, Gallery, SourceEnd, make_rows

BOX, OTHER = (0, 0, 50, 100), (200, 0, 250, 100)
DIM = 4


def embedding(*values):
    vector = np.array([*values, *[0] * (DIM - len(values))], np.float32)
    return vector / np.linalg.norm(vector)


def make_gallery(root: Path, images, *, model_id='abc') -> Gallery:
    """Rows from images: source -> list of (box, embedding)."""
    gallery = Gallery.create(root, model_id=model_id, embed_dim=DIM, model={})
    for source, persons in images.items():
        rows = make_rows(
            source,
            0,
            image=np.zeros((120, 300, 3), np.uint8),
            bboxes=np.array([box for box, _ in persons], np.float32).reshape(-1, 4),
            scores=np.full(len(persons), 0.9, np.float32),
            embeddings=np.array([e for _, e in persons], np.float32).reshape(-1, DIM),
        )
        gallery.append(rows, {source: Coverage(frozenset({0}), SourceEnd(1, 1))})
    return gallery


def write_annotations(path: Path, images) -> Path:
    """COCO JSON from images: file name -> list of (box, person id), and its camera."""
    content = {'images': [], 'annotations': [], 'categories': [{'id': 1, 'name': 'person'}]}
    for name, (persons, camera) in images.items():
        image = {'id': len(content['images']), 'file_name': name, 'camera_id': camera}
        content['images'].append(image)
        for (x1, y1, x2, y2), person in persons:
            content['annotations'].append(
                {
                    'id': len(content['annotations']) + 1,
                    'image_id': image['id'],
                    'category_id': 1,
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'person_id': person,
                }
            )
    path.write_text(json.dumps(content))
    return path
