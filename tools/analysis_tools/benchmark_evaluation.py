"""Time the search evaluation on made-up data as large as PRW and CUHK-SYSU, and show its growth.

Everything is made up in memory; times are those of `evaluate_search` alone. The plain per-query
implementation is the one that the tests compare with: it is there in a checkout of the repository.
"""

import argparse
import importlib.util
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import ModuleType

import numpy as np
from rich.console import Console
from rich.table import Table

from mmps.benchmark import Search, make_arrays, make_prw
from mmps.evaluation.functional import Protocol, SearchResult

PLAIN = Path(__file__).parents[2] / 'tests' / 'test_evaluation' / 'naive_evaluation.py'
MIB = 2**20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--dets', type=int, default=40000, help='detections in the galleries')
    parser.add_argument('--dim', type=int, default=256, help='size of an embedding')
    parser.add_argument('--repeat', type=int, default=5, help='runs of which the times are taken')
    parser.add_argument(
        '--plain-queries',
        type=int,
        default=20,
        help='queries to time the plain implementation on, 0 for none; it is scaled to all',
    )
    parser.add_argument(
        '--growth',
        type=int,
        default=10000,
        help='detections at 1x of the table of growth, up to 100x; 0 for no such table',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the data')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    console = Console()
    plain = load_plain() if args.plain_queries else None
    if args.plain_queries and plain is None:
        console.print(f'The plain implementation is left out: there is no {PLAIN} (no checkout?)')
    prw = make_prw(args.dets, dim=args.dim, seed=args.seed)
    cuhk, cuhk_full = make_cuhk_sysu(args.dets, dim=args.dim, seed=args.seed)
    searches = [
        prw,
        Search('PRW, cross-camera', prw.arrays, other_cameras(prw.protocol)),
        cuhk,
        cuhk_full,
    ]
    console.print(times_table(searches, plain, repeat=args.repeat, sample=args.plain_queries))
    if args.growth:
        console.print(growth_table(args.growth, dim=args.dim, seed=args.seed))


def load_plain() -> ModuleType | None:
    """The plain implementation of the tests, None where there are none."""
    if not PLAIN.is_file():
        return None
    spec = importlib.util.spec_from_file_location('naive_evaluation', PLAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def other_cameras(protocol: Protocol, num_cameras: int = 6) -> Protocol:
    """The same protocol without the images of each query's own camera."""
    cameras = np.arange(protocol.num_images) * num_cameras // protocol.num_images
    return replace(protocol, image_group=cameras, query_group=cameras[protocol.own_image])


def make_cuhk_sysu(
    num_dets: int, *, dim: int, seed: int, num_queries: int = 2900, num_images: int = 6978
) -> tuple[Search, Search]:
    """CUHK-SYSU's galleries of 100 images a query, and its full set with those of 50 again."""
    rng = np.random.default_rng(seed)
    det_image = np.sort(rng.integers(0, num_images, num_dets))
    pids = np.full(num_dets, -1)
    shown = rng.permutation(num_dets)[: 2 * num_queries]
    pids[shown] = np.sort(rng.integers(0, num_queries, len(shown)))
    arrays = make_arrays(rng, pids, query_pids=np.arange(num_queries), dim=dim)
    arrays['det_image'] = det_image
    target_bboxes = arrays['det_bboxes'][shown] + rng.normal(0, 4, (len(shown), 4)).astype('f4')
    target_indptr = np.searchsorted(pids[shown], np.arange(num_queries + 1))

    def protocol(size: int, *, full_set: bool) -> Protocol:
        lists = []
        for begin, end in pairwise(target_indptr):
            targets = np.unique(det_image[shown[begin:end]])
            others = np.setdiff1d(rng.permutation(num_images)[: size + len(targets)], targets)
            lists.append(np.concatenate([targets, rng.permutation(others)])[:size])
        return Protocol(
            num_images=num_images,
            target_image=det_image[shown],
            target_bboxes=target_bboxes,
            target_indptr=target_indptr,
            target_indices=np.arange(len(shown)),
            own_image=np.full(num_queries, -1),
            gallery_indptr=np.arange(num_queries + 1) * size,
            gallery_images=np.concatenate(lists),
            full_set=full_set,
        )

    return (
        Search('CUHK-SYSU, 100', arrays, protocol(100, full_set=False), limit=0.5),
        Search('CUHK-SYSU, all', arrays, protocol(50, full_set=True), limit=2),
    )


def timed(search: Search) -> float:
    begin = time.perf_counter()
    search.run()
    return time.perf_counter() - begin


def times_table(
    searches: list[Search], plain: ModuleType | None, *, repeat: int, sample: int
) -> Table:
    num, dim = searches[0].arrays['det_embeddings'].shape
    table = Table(title=f'Seconds of a search among {num:,} detections, {dim}-d')
    for column in ('', 'queries', 'median', 'best', 'CPU', 'limit', 'plain', 'ratio'):
        table.add_column(column, justify='right' if column else 'left')
    for search in searches:
        result = search.run()  # once to warm up
        cpu = -time.process_time()
        times = [timed(search) for _ in range(repeat)]
        cpu += time.process_time()
        plainly, ratio = '', ''
        if plain is not None:
            seconds = time_plain(search, plain, sample, expected=result)
            plainly, ratio = f'{seconds:.0f}', f'{seconds / median(times):.0f}'
        table.add_row(
            search.name,
            f'{search.protocol.num_queries:,}',
            f'{median(times):.2f}',
            f'{min(times):.2f}',
            f'{cpu / repeat:.2f}',
            '' if search.limit is None else f'{search.limit}',
            plainly,
            ratio,
        )
    table.caption = 'CPU: of all threads together, mean'
    if plain is not None:
        table.caption += f'; plain: the plain implementation on {sample} queries, scaled to all'
    return table


def time_plain(search: Search, plain: ModuleType, sample: int, *, expected: SearchResult) -> float:
    """Seconds for all queries of the plain implementation, from some of them spread evenly.

    Ends the program if it finds another AP than is ``expected``.
    """
    arrays, protocol = search.arrays, search.protocol
    features = arrays['det_embeddings'] * arrays['det_scores'][:, None]
    starts = np.searchsorted(arrays['det_image'], np.arange(protocol.num_images + 1))
    images = [
        {
            'index': np.arange(begin, end),
            'bboxes': arrays['det_bboxes'][begin:end],
            'features': features[begin:end],
            'is_reranked': False,
        }
        for begin, end in pairwise(starts)
    ]

    def gallery(query: int) -> Iterator[dict[str, object]]:
        begin, end = protocol.target_indptr[query : query + 2]
        boxes = defaultdict(list)
        for target in protocol.target_indices[begin:end]:
            boxes[protocol.target_image[target]].append(protocol.target_bboxes[target])
        for image in protocol.gallery_of(query):
            yield {**images[image], 'targets': [] if protocol.full_set else boxes[image]}
        if protocol.full_set:
            begin, end = protocol.gallery_indptr[query : query + 2]
            for image in protocol.gallery_images[begin:end]:
                yield {**images[image], 'targets': boxes[image]}

    queries = np.linspace(0, protocol.num_queries - 1, sample).astype(int)
    begin = time.perf_counter()
    found = [
        plain.search(arrays['query_embeddings'][query], list(gallery(query)), expected.topk)['ap']
        for query in queries
    ]
    seconds = time.perf_counter() - begin
    if not np.allclose(found, expected.ap[queries], rtol=0, atol=1e-6):
        raise SystemExit(f'error: {search.name}: the plain implementation finds another AP')
    return seconds / sample * protocol.num_queries


def growth_table(base: int, *, dim: int, seed: int) -> Table:
    """Time and memory as detections, then queries grow tenfold and a hundredfold."""
    table = Table(title=f'Memory of a search (what is given, and what it takes more), {dim}-d')
    for column in ('queries', 'detections', 'given MiB', 'more MiB', 'B/detection', 'seconds'):
        table.add_column(column, justify='right')
    for queries, times in ((100, 1), (100, 10), (100, 100), (1000, 1), (10000, 1)):
        num_dets = times * base
        search = make_prw(
            num_dets,
            dim=dim,
            seed=seed,
            num_queries=queries,
            num_images=num_dets // 7 + 1,
            num_persons=num_dets // 90 + 1,
        )
        seconds = timed(search)
        tracemalloc.start()  # counts NumPy's arrays; slows down, hence another run
        search.run()
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        given = sum(array.nbytes for array in search.arrays.values())
        table.add_row(
            f'{queries:,}',
            f'{num_dets:,}',
            f'{given / MIB:,.0f}',
            f'{memory / MIB:,.0f}',
            f'{memory / num_dets:,.0f}',
            f'{seconds:.2f}',
        )
    table.caption = f'{4 * dim} B of those per detection are its weighted embedding'
    return table


if __name__ == '__main__':
    main()
