"""Time searches in galleries of generated persons of several sizes, with recall, build and memory.

Generated: persons with 20 views on average. A person is a normal vector whose i-th dimension has
variance i^-0.75, which is as if 64 of 256 dimensions counted; a view adds noise of 0.43 of that
variance (the cosine of two views is 0.70 on average, of two persons 0) and is scaled to norm 1.
Queries are views that are not in the gallery. Each video has 20,000 rows and one of 20 cameras.
The galleries are real ones, with shards on disk: 2.4 KB a row at 256 dimensions, in --work-dir.

Every stage runs in a process of its own: one reads the shards and builds the index, another opens
it and searches. Latency is that of one query at a time, through the whole index. Recall@10 is
against comparing with every row. Memory is what the searching process took for itself, `mapped`
are pages of files that it has looked at, which the system may take back.
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mmps.benchmark.galleries import SEARCHES, K, Persons, add_video, fill, neighbours
from mmps.benchmark.machine import describe_machine, machine_line
from mmps.gallery import Gallery
from mmps.index import FaissIndex

MIB = 2**20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--rows',
        type=int,
        nargs='+',
        default=[10_000, 200_000, 1_000_000],
        help='sizes of the galleries (default: 10,000, 200,000 and 1,000,000)',
    )
    parser.add_argument('--dim', type=int, default=256, help='size of an embedding (default: 256)')
    parser.add_argument('--queries', type=int, default=1000, help='how many (default: 1000)')
    parser.add_argument('--kind', choices=['exact', 'ivf'], help='default: by size')
    parser.add_argument('--seed', type=int, default=0, help='seed of the data (default: 0)')
    parser.add_argument('--work-dir', type=Path, help='default: a temporary folder, removed')
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    results = []
    for rows in args.rows:
        folder = Path(tempfile.mkdtemp(prefix='benchmark_index_', dir=args.work_dir))
        try:
            results.append(benchmark(folder, Persons(rows, args.dim, args.seed), args))
        finally:
            shutil.rmtree(folder)
    machine = describe_machine(torch.device('cpu')) | {'threads': faiss.omp_get_max_threads()}
    if args.json:
        print(json.dumps(dict(machine=machine, dim=args.dim, galleries=results), indent=2))
        return
    console = Console()
    console.print(searches_table(results))
    console.print(costs_table(results))
    console.print(machine_line(machine))


def benchmark(folder: Path, persons: Persons, args: argparse.Namespace) -> dict[str, Any]:
    """All stages for one gallery."""
    apart(fill, folder, persons)
    built = apart(build, folder, args.kind)
    truth = apart(neighbours, persons, args.queries)
    found = apart(search, folder, persons, args.queries, args.kind, truth)
    changed = apart(change, folder, persons, args.kind)
    return dict(rows=persons.rows, **built, **found, **changed)


def apart(stage: Callable[..., Any], *args: Any) -> Any:
    """Run a stage in a new process, so that nothing of another's memory is counted."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(stage, *args).result()


def open_index(folder: Path, kind: Any) -> tuple[Gallery, FaissIndex]:
    gallery = Gallery.open(folder)
    index = FaissIndex(
        folder / 'index', model_id=gallery.model_id, embed_dim=gallery.embed_dim, kind=kind
    )
    return gallery, index


def build(folder: Path, kind: str | None) -> dict[str, Any]:
    gallery, index = open_index(folder, kind)
    before = memory()
    seconds = timed(lambda: index.sync(gallery))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(path.stat().st_size for path in (folder / 'index').rglob('*') if path.is_file())
    return dict(
        kind=index.kind,
        build_s=seconds,
        build_peak_mib=peak - sum(before),
        index_files_mib=size / MIB,
    )


def search(
    folder: Path, persons: Persons, num_queries: int, kind: str | None, truth: dict[str, np.ndarray]
) -> dict[str, Any]:
    queries = persons.queries(num_queries)
    before = memory()
    begin = time.perf_counter()
    gallery, index = open_index(folder, kind)
    index.sync(gallery)
    opened = time.perf_counter() - begin
    searches = {}
    for name, (filters, _) in SEARCHES.items():
        times, hits = [], 0
        for query, wanted in zip(queries, truth[name], strict=True):
            begin = time.perf_counter()
            found = index.search(query[None], k=K, filters=filters)[1]
            times.append(1000 * (time.perf_counter() - begin))
            hits += np.isin(wanted, found).sum()
        p50, p95, p99 = np.percentile(times[len(times) // 10 :], [50, 95, 99])
        recall = hits / truth[name].size
        searches[name] = dict(p50_ms=p50, p95_ms=p95, p99_ms=p99, recall=recall)
    own, mapped = (now - then for now, then in zip(memory(), before, strict=True))
    return dict(open_s=opened, searches=searches, memory_mib=own, mapped_mib=mapped)


def change(folder: Path, persons: Persons, kind: str | None) -> dict[str, Any]:
    """Seconds to let go of a video and to take in another, so that the kind stays the same."""
    gallery, index = open_index(folder, kind)
    index.sync(gallery)
    next(iter(gallery.shards())).unlink()
    removed = timed(lambda: index.sync(gallery))
    add_video(gallery, *persons.another_video())
    return dict(remove_s=removed, append_s=timed(lambda: index.sync(gallery)))


def timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def memory() -> tuple[float, float]:
    """MiB that this process has for itself, and pages of files mapped."""
    status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return tuple(int(status[key].split()[0]) / 1024 for key in ('RssAnon', 'RssFile'))


def searches_table(results: list[dict[str, Any]]) -> Table:
    table = Table(title='Milliseconds of one query for its 10 most similar rows')
    for column in ('rows', 'kind', 'searched', 'p50', 'p95', 'p99', 'recall@10'):
        table.add_column(column, justify='left' if column in ('kind', 'searched') else 'right')
    for result in results:
        for name, found in result['searches'].items():
            table.add_row(
                f'{result["rows"]:,}',
                result['kind'],
                name,
                *(f'{found[key]:.2f}' for key in ('p50_ms', 'p95_ms', 'p99_ms')),
                f'{found["recall"]:.4f}',
            )
    return table


def costs_table(results: list[dict[str, Any]]) -> Table:
    table = Table(title='What the index takes')
    columns = {
        'build [s]': 'build_s',
        'its peak [MiB]': 'build_peak_mib',
        'files [MiB]': 'index_files_mib',
        'open [s]': 'open_s',
        'memory [MiB]': 'memory_mib',
        'mapped [MiB]': 'mapped_mib',
        '+ 20,000 [s]': 'append_s',
        '- 20,000 [s]': 'remove_s',
    }
    table.add_column('rows', justify='right')
    for title in columns:
        table.add_column(title, justify='right')
    for result in results:
        table.add_row(
            f'{result["rows"]:,}',
            *(
                f'{result[key]:.2f}' if key.endswith('_s') else f'{result[key]:,.0f}'
                for key in columns.values()
            ),
        )
    return table


if __name__ == '__main__':
    main()
