"""`mmps convert`: datasets and checkpoints."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import JsonOption
from .output import show, show_json

if TYPE_CHECKING:
    from mmps.datasets.annotations import Annotations

ForceOption = Annotated[bool, typer.Option('--force', help='Replace what is there.')]


class Kind(str, Enum):
    """Of a dataset."""

    PRW = 'prw'
    CUHK_SYSU = 'cuhk-sysu'
    MOT = 'mot'
    TRACKS = 'tracks'


class Method(str, Enum):
    """Whose checkpoint it is."""

    OIM = 'oim'
    OIMNETPP = 'oimnetpp'
    OIMNETPPP = 'oimnetppp'
    SEQNET = 'seqnet'


def dataset(
    kind: Annotated[
        Kind,
        typer.Argument(
            help='PRW or CUHK-SYSU as published, MOT Challenge, or folders of tracks '
            '(docs/custom_data.md).'
        ),
    ],
    source: Annotated[Path, typer.Argument(help='Folder of the dataset.')],
    out_dir: Annotated[
        Path | None,
        typer.Option(help='For the JSON files [default: the source]', show_default=False),
    ] = None,
    every: Annotated[
        int, typer.Option(min=1, help='Of mot and tracks: take every n-th frame.')
    ] = 1,
    sequences: Annotated[
        str, typer.Option(help="Of mot: pattern of their names, such as '*-FRCNN'.")
    ] = '*',
    min_visibility: Annotated[
        float,
        typer.Option(help='Of mot: persons of whom less is visible become ignored regions.'),
    ] = 0.1,
    without_images: Annotated[
        bool, typer.Option('--without-images', help='Of prw and cuhk-sysu: images are not there.')
    ] = False,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Turn a dataset into COCO JSON with identities.

    Example: [bold]mmps convert dataset prw data/PRW-v16.04.20[/bold]
    """
    from mmps.data_tools import convert_to_coco

    files = convert_to_coco(
        kind.value,
        source,
        out_dir=out_dir,
        force=force,
        without_images=without_images,
        every=every,
        sequences=sequences,
        min_visibility=min_visibility,
    )
    _report(files, json=json)


def split(
    source: Annotated[Path, typer.Argument(metavar='ALL.json', help='COCO JSON to split.')],
    out_dir: Annotated[
        Path | None,
        typer.Option(help='For the JSON files [default: that of the source]', show_default=False),
    ] = None,
    num_train: Annotated[
        int | None,
        typer.Option(
            min=1, help='Identities to train on [default: half of them]', show_default=False
        ),
    ] = None,
    slack: Annotated[
        int | None,
        typer.Option(
            min=0,
            help='By how many that may be missed to drop fewer images [default: a twentieth of '
            'all]',
            show_default=False,
        ),
    ] = None,
    query_seed: Annotated[int, typer.Option(help='Of the queries that are drawn.')] = 0,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Split COCO JSON into train.json and test.json, with nobody in both.

    Example: [bold]mmps convert split data/mine/all.json --num-train 277[/bold]
    """
    from mmps.data_tools import split_by_identity, write_coco
    from mmps.datasets.coco_files import load_annotations

    annotations = load_annotations(source)
    num = len(annotations.person_ids())
    parts = split_by_identity(
        annotations,
        num // 2 if num_train is None else num_train,
        slack=num // 20 if slack is None else slack,
        query_seed=query_seed,
    )
    folder = out_dir or source.parent
    files = {folder / 'train.json': parts.train, folder / 'test.json': parts.test}
    write_coco(files, force=force)
    _report(files, json=json, dropped=len(parts.dropped))


def prw(
    train: Annotated[Path, typer.Argument(metavar='TRAIN.json', help='COCO JSON to train on.')],
    test: Annotated[Path, typer.Argument(metavar='TEST.json', help='Of gallery and queries.')],
    images: Annotated[Path, typer.Option(help='Folder of the images.')],
    out: Annotated[Path, typer.Option(help='Folder to make.')],
    link: Annotated[bool, typer.Option('--link', help='Link to the images, do not copy.')] = False,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Turn COCO JSON with identities into PRW's layout, which other code reads.

    Example: [bold]mmps convert prw train.json test.json --images data/mine --out as_prw[/bold]
    """
    from mmps.data_tools import write_prw
    from mmps.datasets.coco_files import load_annotations

    parts = load_annotations(train), load_annotations(test)
    frames = write_prw(out, *parts, images=images, link=link, force=force)
    ignored = sum(p.ignored for part in parts for s in part.scenes for p in s.persons)
    if json:
        show_json({'folder': out, 'frames': len(frames), 'ignored_regions_left_out': ignored})
        return
    show(f'{out}: {len(frames)} frames')
    if ignored:
        show(f'{ignored} ignored regions are left out: PRW has no such thing')


def checkpoint(
    method: Annotated[Method, typer.Argument(help='Whose code it is of.')],
    source: Annotated[Path, typer.Argument(help='Checkpoint to read.')],
    target: Annotated[Path, typer.Argument(help='Checkpoint to write.')],
    back: Annotated[bool, typer.Option('--back', help="From mmps to the authors' names.")] = False,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Convert a checkpoint of the authors' code to mmps, or back.

    Example: [bold]mmps convert checkpoint seqnet epoch_16.pth seqnet_mmps.pth[/bold]
    """
    from mmps.converters import convert_checkpoint
    from mmps.files import refuse_to_overwrite

    if not force:
        refuse_to_overwrite([target])
    unread = convert_checkpoint(method.value, source, target, back=back)
    if json:
        show_json({'target': target, 'unread': unread})
        return
    for key, number in unread.items():
        show(f'not carried, never read by the authors: {number} values of {key}')
    show(f'wrote {target}')


def _report(files: 'dict[Path, Annotations]', *, json: bool, dropped: int | None = None) -> None:
    if json:
        written = [
            {'path': path, 'images': len(part.scenes), 'identities': len(part.person_ids())}
            for path, part in files.items()
        ]
        show_json({'files': written} | ({} if dropped is None else {'images_dropped': dropped}))
        return
    for path, part in files.items():
        show(f'{path}: {len(part.scenes)} images, {len(part.person_ids())} identities')
    if dropped:
        show(f'{dropped} images show persons of both parts and are in neither')
