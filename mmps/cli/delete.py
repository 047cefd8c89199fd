"""`mmps delete`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .options import GalleryArgument, JsonOption
from .output import note, show, show_json, show_table

if TYPE_CHECKING:
    from mmps.gallery import DeletionReport, Gallery

_LISTED = 30


def delete(
    gallery: GalleryArgument,
    source: Annotated[
        list[str] | None,
        typer.Option(help='An image, a video or a folder of such; can be repeated.'),
    ] = None,
    row: Annotated[
        list[int] | None,
        typer.Option(metavar='ID', help='One result of a search; can be repeated.'),
    ] = None,
    track: Annotated[
        list[int] | None,
        typer.Option(metavar='ID', help='A walk through a video; can be repeated.'),
    ] = None,
    person: Annotated[
        int | None,
        typer.Option(
            metavar='ID',
            help='All that look like this result of a search, by --min-similarity.',
            show_default=False,
        ),
    ] = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(
            min=-1.0,
            max=1.0,
            help='What looks like --person: at least so similar.',
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(
            metavar='http://HOST:PORT',
            help="Milvus server that has the gallery, too; that in the gallery's folder is always "
            'cleared.',
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option('--dry-run', help='Only list what would go.')] = False,
    yes: Annotated[bool, typer.Option('--yes', help='Do not ask.')] = False,
    json: JsonOption = False,
) -> None:
    """Delete persons or sources from a gallery for good, and prove that they are gone.

    Persons go with their embeddings and thumbnails, from shards and index; all files are then
    searched for them. Their frames still count as searched, so that nobody comes back when the
    footage is indexed again; a deleted source comes back if it is. The footage itself stays. A
    deletion that was killed is finished by the next one, or by this command without options.

    Examples:
    [bold]mmps delete people --source video.mp4[/bold] deletes all of a video,
    [bold]mmps delete people --person 8123456 --min-similarity 0.7 --dry-run[/bold] lists a person.
    """
    if (person is None) != (min_similarity is None):
        raise ValueError('--person and --min-similarity go together')
    from mmps.gallery import Gallery, to_arrays
    from mmps.gallery.selection import rows_like, rows_of_sources, rows_of_track, sources_at
    from mmps.index import open_index
    from mmps.index.left import what_is_left

    opened = Gallery.open(gallery)
    sources = sources_at(opened, source or [])
    similar: dict[int, float] = {}
    try:
        if person is not None and min_similarity is not None:
            similar = rows_like(opened, person, min_similarity=min_similarity)
        tracked = [of_track for number in track or [] for of_track in rows_of_track(opened, number)]
        asked = list(dict.fromkeys([*(row or []), *tracked, *similar]))
        ids = list(dict.fromkeys([*asked, *rows_of_sources(opened, sources)]))
        opened.rows(ids, ['row_id'])
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    if not ids and not sources and not opened.deletion_is_pending():
        raise ValueError('say what to delete: --source, --row, --track or --person')
    if not json:
        _show_rows(opened, ids, similar)
    if dry_run:
        if json:
            show_json({'row_ids': ids, 'sources': sources})
        return
    if not yes:
        _confirm(f'Delete {len(ids)} persons and {len(sources)} sources of {gallery} for good?')

    indexes = [open_index(opened)] if (gallery / 'index').exists() else []
    indexes += [open_index(opened, index=index)] if index is not None else []
    looks = to_arrays(opened.rows(ids, ['embedding'])['embedding'])
    left: list[str] = []

    def clear(row_ids: list[int]) -> None:
        for of_gallery in indexes:
            of_gallery.sync(opened)
            of_gallery.remove(row_ids)
            left.extend(what_is_left(opened, of_gallery, looks, row_ids))

    report = opened.delete(row_ids=ids, sources=sources, index=clear)
    if json:
        show_json({'deletion': report, 'indexes': len(indexes), 'left_in_indexes': left})
    else:
        _show_proof(opened, report, indexes=len(indexes), left=left)
    if report.left_in or left:
        note(f'error: something is left: {", ".join([*report.left_in, *left])}')
        raise typer.Exit(1)


def _show_rows(gallery: 'Gallery', ids: list[int], similar: dict[int, float]) -> None:
    from mmps.times import describe_time

    rows = gallery.rows(ids[:_LISTED], ['source', 'frame', 'time', 'camera', 'row_id']).to_pylist()
    table = [
        (
            row['source'],
            row['frame'],
            describe_time(row['time']),
            row['camera'],
            f'{similar[row["row_id"]]:.3f}' if row['row_id'] in similar else '',
            str(row['row_id']),
        )
        for row in rows
    ]
    more = f', the first {_LISTED}' if len(ids) > _LISTED else ''
    columns = ('source', 'frame', 'time', 'camera', 'similarity', 'row')
    show_table(columns, table, title=f'{len(ids)} persons{more}')


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise ValueError('nobody is there to ask: confirm by --yes')
    typer.confirm(question, abort=True, err=True)


def _show_proof(
    gallery: 'Gallery', report: 'DeletionReport', *, indexes: int, left: list[str]
) -> None:
    answer = f'{len(left)} findings' if left else 'none came back'
    show(
        f'Deleted {len(report.row_ids)} persons'
        + ''.join(f', all of {source}' for source in report.sources)
        + f'; {report.shards_rewritten} shards were written anew, {report.shards_removed} removed.'
    )
    show(
        f'Checked: the {report.rows_read} persons of all shards were read again, none of those is '
        f'among them. The {report.files_searched} files of {gallery.root} '
        f'({report.bytes_searched:,} bytes) were searched for their embeddings and thumbnails: '
        f'found in {len(report.left_in)}.'
        + f' {indexes} indexes were asked for them: {answer}.'
        * bool(indexes)
    )
    if report.copies:
        show(
            f'{len(report.copies)} other persons have the very same embedding or thumbnail, such '
            f'as those of a copied image, and stay: rows {report.copies[:10]}'
        )
    show('The footage itself, backups of the gallery and other indexes are not touched.')
