"""Datasets of any of the known kinds to COCO JSON with identities, as files."""

from collections.abc import Callable
from pathlib import Path

from mmps.datasets import CUHKSYSUDataset, PersonSearchDataset, PRWDataset
from mmps.datasets.annotations import Annotations
from mmps.files import refuse_to_overwrite

from .coco_writer import write_coco
from .from_dataset import annotations_of
from .images import with_sizes
from .mot import read_mot
from .tracks import read_tracks

PUBLISHED: dict[str, Callable[..., PersonSearchDataset]] = {
    'prw': PRWDataset,
    'cuhk-sysu': CUHKSYSUDataset,
}
KINDS = (*PUBLISHED, 'mot', 'tracks')


def convert_to_coco(
    kind: str,
    source: Path,
    *,
    out_dir: Path | None = None,
    force: bool = False,
    without_images: bool = False,
    every: int = 1,
    sequences: str = '*',
    min_visibility: float = 0.1,
) -> dict[Path, Annotations]:
    """Write the COCO JSON of a dataset: ``train.json`` and ``test.json``, or ``all.json``.

    Args:
        kind: one of ``KINDS``; 'mot' and 'tracks' give one file, all.json.
        source: folder of the dataset; images stay there.
        out_dir: for the JSON files; by default the source.
        force: replace JSON files that are there.
        without_images: of prw and cuhk-sysu: images need not be there; the JSON then does not say
            how large they are.
        every: of mot and tracks: take every n-th frame.
        sequences: of mot: pattern of their names.
        min_visibility: of mot: persons of whom less is visible become ignored regions.

    Returns:
        The files written, with what is in them.

    Raises:
        FileExistsError: a file is there already.
        FileNotFoundError: the source, or a file in it, is not there.
        ValueError: the source is not of this kind; the message names file and line.
    """
    if not source.is_dir():
        raise FileNotFoundError(f'there is no folder {source}')
    if every < 1:
        raise ValueError(f'every must be at least 1, not {every}')
    names = ('train.json', 'test.json') if kind in PUBLISHED else ('all.json',)
    paths = [(out_dir or source) / name for name in names]
    if not force:  # reading all of it may take minutes
        refuse_to_overwrite(paths)
    if kind == 'mot':
        parts = [read_mot(source, sequences=sequences, every=every, min_visibility=min_visibility)]
    elif kind == 'tracks':
        parts = [read_tracks(source, every=every)]
    else:
        parts = []
        for split in ('train', 'gallery'):
            dataset = PUBLISHED[kind](str(source), split, check_frames=not without_images)
            part = annotations_of(dataset)
            parts.append(part if without_images else with_sizes(part, source))
    files = dict(zip(paths, parts, strict=True))
    write_coco(files, force=force)
    return files
