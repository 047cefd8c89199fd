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
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table

from mmps.benchmark.machine import describe_machine, machine_line
from mmps.gallery import Coverage, Gallery, gallery_schema
from mmps.index import FaissIndex, Filters

PER_VIDEO = 20_000
CAMERAS = 20
VIEWS = 20
NOISE = 0.43
DECAY = 0.75
K = 10
MIB = 2**20


@dataclass(frozen=True)
class Persons:
    """Generated rows, the same for the same seed.

    Args:
        rows: how many.
        dim: of an embedding.
        seed: of all random numbers.
    """

    rows: int
    dim: int
    seed: int

    def videos(self) -> Iterator[tuple[int, np.ndarray]]:
        """Number and embeddings (N, dim) of each video."""
        centres = self._centres()
        for number in range(-(-self.rows // PER_VIDEO)):
            count = min(PER_VIDEO, self.rows - number * PER_VIDEO)
            yield number, self._views(centres, count, stream=number)

    def queries(self, count: int) -> np.ndarray:
        """Views of persons that are no rows, (count, dim)."""
        return self._views(self._centres(), count, stream=-1)

    def _spread(self) -> np.ndarray:
        return (np.arange(1, self.dim + 1) ** (-DECAY / 2)).astype(np.float32)

    def _centres(self) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 0])
        shape = (max(1, self.rows // VIEWS), self.dim)
        return self._spread() * rng.standard_normal(shape, dtype=np.float32)

    def _views(self, centres: np.ndarray, count: int, *, stream: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 1, stream + 1])
        views = rng.standard_normal((count, self.dim), dtype=np.float32)
        views *= np.sqrt(NOISE, dtype=np.float32) * self._spread()
        views += centres[rng.integers(len(centres), size=count)]
        return views / np.linalg.norm(views, axis=1, keepdims=True)


def camera_of(video: int) -> str:
    return f'camera {video % CAMERAS}'


def source_of(video: int) -> str:
    return f'/footage/{video}.mp4'


SEARCHES: dict[str, tuple[Filters | None, Callable[[int], bool]]] = {
    'all': (None, lambda video: True),
    'one camera of 20': (Filters(cameras=(camera_of(0),)), lambda video: video % CAMERAS == 0),
    'one video': (Filters(sources=(source_of(0),)), lambda video: video == 0),
}


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


def fill(folder: Path, persons: Persons) -> None:
    """Make the gallery."""
    gallery = Gallery.create(folder, model_id='00', embed_dim=persons.dim, model={})
    for number, embeddings in persons.videos():
        add_video(gallery, number, embeddings)


def add_video(gallery: Gallery, number: int, embeddings: np.ndarray) -> None:
    count, source = len(embeddings), source_of(number)
    frames = np.arange(count, dtype=np.int32) // 5
    columns = dict(
        row_id=number * PER_VIDEO + np.arange(count),
        source=[source] * count,
        frame=frames,
        time=frames / 25,
        camera=[camera_of(number)] * count,
        image_width=np.full(count, 1920, np.int32),
        image_height=np.full(count, 1080, np.int32),
        bbox=lists(np.tile(np.float32([0, 0, 64, 128]), (count, 1))),
        score=np.ones(count, np.float32),
        embedding=lists(embeddings),
        thumbnail=[b''] * count,
    )
    rows = pa.table(columns, schema=gallery_schema(embeddings.shape[1]))
    gallery.append(rows, {source: Coverage(frozenset(frames.tolist()))})


def lists(values: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


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


def neighbours(persons: Persons, num_queries: int) -> dict[str, np.ndarray]:
    """Ids of the most similar rows by comparing with every row, for each of SEARCHES."""
    queries = persons.queries(num_queries)
    best = {
        name: (np.full((num_queries, K), -2.0), np.full((num_queries, K), -1)) for name in SEARCHES
    }
    for number, embeddings in persons.videos():
        similarities, places = faiss.knn(queries, embeddings, K, faiss.METRIC_INNER_PRODUCT)
        ids = places + number * PER_VIDEO
        for name, (_, counts) in SEARCHES.items():
            if counts(number):
                both = np.concatenate([best[name][0], similarities], axis=1)
                order = np.argsort(-both, axis=1, kind='stable')[:, :K]
                all_ids = np.concatenate([best[name][1], ids], axis=1)
                best[name] = tuple(np.take_along_axis(x, order, axis=1) for x in (both, all_ids))
    return {name: ids for name, (_, ids) in best.items()}


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
    number = -(-persons.rows // PER_VIDEO)
    add_video(gallery, number, persons.queries(min(PER_VIDEO, persons.rows)))
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
