"""Making a whole sample: in parallel, the same for any number of processes, all or nothing."""

import json
import multiprocessing
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
from tqdm import tqdm

from .layout import write_frame, write_queries, write_split
from .plan import FramePlan, plan_split
from .queries import choose_queries
from .scene import Box, render_frame

VERSION = 1
"""Raised whenever the same arguments would give other pictures or annotations."""
_MARK = 'sample.json'


@dataclass(frozen=True)
class SampleSpec:
    """What a sample is made of; equal specs give equal files.

    Raises:
        ValueError: A number is out of range.
    """

    frames_train: int = 1050
    frames_test: int = 120
    identities_train: int = 150
    identities_test: int = 25
    width: int = 480
    height: int = 288
    cameras: int = 6
    seed: int = 0
    queries: int = 5
    """Most queries of one test identity."""

    def __post_init__(self) -> None:
        least = {'width': 160, 'height': 96, 'cameras': 2, 'seed': 0}
        for name, value in asdict(self).items():
            if value < least.get(name, 1):
                raise ValueError(f'{name} is {value}, must be at least {least.get(name, 1)}')

    def plans(self) -> tuple[list[FramePlan], list[FramePlan]]:
        """Train and test frames; see ``plan_split`` for the errors."""
        first_test = self.identities_train + 1
        train, test = (
            plan_split(self.seed, split, frames=frames, cameras=self.cameras, pids=pids)
            for split, (frames, pids) in enumerate(
                (
                    (self.frames_train, range(1, first_test)),
                    (self.frames_test, range(first_test, first_test + self.identities_test)),
                )
            )
        )
        return train, test


def generate_sample(out: Path, spec: SampleSpec, *, workers: int = 1, force: bool = False) -> bool:
    """Make a sample in PRW's layout, unless it is there already.

    Everything is written into ``<out>.partial`` and renamed when complete, so that ``out`` is
    never half a sample; what an interrupted run left is removed by the next one.

    Args:
        out: Folder of the sample.
        spec: What it is made of.
        workers: Number of processes; it does not change the result.
        force: Replace a sample that was made from another spec.

    Returns:
        Whether it was made; False if the very same sample was there.

    Raises:
        FileExistsError: ``out`` is something else, or another sample and ``force`` is off.
        ValueError: Too few frames for so many identities.
    """
    record = {'generator': VERSION, 'arguments': asdict(spec)}
    if out.exists() and _is_made(out, record, force=force):
        return False
    train, test = spec.plans()
    partial_dir = out.with_name(f'{out.name}.partial')
    shutil.rmtree(partial_dir, ignore_errors=True)
    for folder in ('frames', 'annotations'):
        (partial_dir / folder).mkdir(parents=True)
    try:
        boxes = 0
        test_boxes: list[tuple[FramePlan, list[Box]]] = []
        frames = [*train, *test]
        # Closed at once on an error, so that no process still writes when all is removed.
        with closing(_draw(partial_dir, spec, frames, workers=workers)) as drawn:
            for frame, found in tqdm(drawn, 'sample', len(frames), unit='frame', mininterval=1.0):
                boxes += len(found)
                if frame.split:
                    test_boxes.append((frame, found))
        pids = range(1, spec.identities_train + spec.identities_test + 1)
        for is_test, of_split, ids in (
            (False, train, pids[: spec.identities_train]),
            (True, test, pids[spec.identities_train :]),
        ):
            write_split(partial_dir, test=is_test, names=[f.name for f in of_split], pids=ids)
        queries = choose_queries(spec.seed, test_boxes, per_identity=spec.queries)
        write_queries(partial_dir, queries)
        record['counts'] = {'boxes': boxes, 'queries': len(queries)}
        (partial_dir / _MARK).write_text(json.dumps(record, indent=2) + '\n')
        _replace(out, partial_dir)
    finally:
        shutil.rmtree(partial_dir, ignore_errors=True)
    return True


def _is_made(out: Path, record: dict[str, object], *, force: bool) -> bool:
    """Whether ``out`` is this sample (True) or one that may be replaced (False)."""
    try:
        found = json.loads((out / _MARK).read_text())
        same = all(found[key] == value for key, value in record.items())
    except (OSError, ValueError, KeyError, TypeError):
        raise FileExistsError(
            f'{out} exists and is no sample of this generator (it has no readable {_MARK}); '
            'name another folder or remove it'
        ) from None
    if not same and not force:
        raise FileExistsError(
            f'{out} holds a sample made with other arguments (see {out / _MARK}); '
            'use --force to replace it or name another folder'
        )
    return bool(same)


def _replace(out: Path, complete: Path) -> None:
    old = out.with_name(f'{out.name}.old')
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    complete.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _draw_frame(root: Path, spec: SampleSpec, frame: FramePlan) -> tuple[FramePlan, list[Box]]:
    picture, boxes, quality = render_frame(
        spec.seed,
        frame.split,
        frame.index,
        camera_id=frame.camera_id,
        people=frame.people,
        size=(spec.width, spec.height),
    )
    write_frame(root, frame.name, picture, boxes, quality=quality)
    return frame, boxes


def _draw(
    root: Path, spec: SampleSpec, frames: list[FramePlan], *, workers: int
) -> Generator[tuple[FramePlan, list[Box]], None, None]:
    """Draw and write all frames, in order."""
    draw = partial(_draw_frame, root, spec)
    with _opencv_single_threaded():
        if workers <= 1:
            yield from map(draw, frames)
            return
        # Forked processes start at once; elsewhere than on Linux forking is not safe.
        method = 'fork' if sys.platform.startswith('linux') else 'spawn'
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(workers, context, _start_worker) as pool:
            yield from pool.map(draw, frames, chunksize=4)


def _start_worker() -> None:
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers


@contextmanager
def _opencv_single_threaded() -> Iterator[None]:
    """The processes share the cores; and OpenCV's threads do not survive a fork."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
