"""Indexing by Ray Data on one machine or a cluster: the same rows as :func:`index_sources` writes.

Each actor holds a model, takes parts of the footage as they come and writes their shards itself;
only what was done comes back. Gallery and footage are on a file system that all machines share. A
part whose actor is lost is done again by another, which leaves out what is in the gallery already.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, Protocol

import ray
from ray._private import ray_constants

from .indexing import Detector, IndexReport
from .reading import Share
from .sources import is_video
from .store import Gallery

_IMAGES_OF_A_PART = 256


class Index(Protocol):
    """:func:`mmps.gallery.index_sources`, perhaps with some of its options set."""

    def __call__(
        self, gallery: Gallery, detector: Detector, sources: Sequence[str], *, share: Share
    ) -> IndexReport:
        """Index the share of these sources."""


def index_by_ray(
    gallery: Gallery,
    make_detector: Callable[[], Detector],
    sources: Sequence[str],
    *,
    index: Index,
    workers: int,
    gpus: float = 0.0,
    on_part: Callable[[int, int], None] | None = None,
) -> IndexReport:
    """Search images and videos for persons, by actors of Ray Data.

    Ray is started on this machine unless it is started already or ``RAY_ADDRESS`` names a cluster.

    Args:
        gallery: where to.
        make_detector: makes what finds persons; called once in each actor.
        sources: as for :func:`index_sources`.
        index: that one, with its options.
        workers: how many actors there are. A video is divided among all.
        gpus: of each actor.
        on_part: called with the number of parts that are done and of all parts.

    Returns:
        What was done. ``seconds`` are those that the actors have worked, together.

    Raises:
        ChildProcessError: :func:`index_sources` or ``make_detector`` has failed in an actor; the
            message says which. What was found before is in the gallery.
    """
    before = gallery.coverage()
    if not ray.is_initialized():
        start_ray()
    parts = divide(sources, workers)
    ray.data.DataContext.get_current().enable_progress_bars = False
    done = ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
        _Worker,
        batch_size=1,
        batch_format='numpy',
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=gpus,
        fn_constructor_args=(str(gallery.root.resolve()), make_detector, index),
    )
    frames = persons = 0
    seconds, problems = 0.0, []
    for number, report in enumerate(done.iter_rows(), start=1):
        if report['failure']:
            raise ChildProcessError(f'an actor of Ray failed: {report["failure"]}')
        frames += report['frames']
        persons += report['persons']
        seconds += report['seconds']
        problems += list(report['problems'])
        if on_part is not None:
            on_part(number, len(parts))
    return IndexReport(
        sources=len(sources),
        frames=frames,
        persons=persons,
        frames_before=sum(len(before[path].frames) for path in sources if path in before),
        problems=list(dict.fromkeys(problems)),
        seconds=seconds,
    )


def start_ray(*, num_cpus: int | None = None) -> None:
    """Join the cluster that ``RAY_ADDRESS`` names, else start Ray for this machine alone.

    Args:
        num_cpus: of the Ray that is started; all by default.
    """
    if 'RAY_ADDRESS' in os.environ:
        ray.init()
    else:
        # As Ray does for itself on Windows and macOS: all its ports are on the loopback. An address
        # given to ray.init() does not do that, nor the variable once Ray is imported.
        ray_constants.ENABLE_RAY_CLUSTER = False
        ray.init(num_cpus=num_cpus, include_dashboard=False, log_to_driver=False)


def divide(paths: Sequence[str], workers: int) -> list[dict[str, Any]]:
    """Parts of the work: some images, or a share of a video.

    Args:
        paths: of the sources.
        workers: how many shares a video has.

    Returns:
        ``paths``, ``rank`` and ``of`` of each.
    """
    images = [path for path in paths if not is_video(path)]
    bundles = [
        images[start : start + _IMAGES_OF_A_PART]
        for start in range(0, len(images), _IMAGES_OF_A_PART)
    ]
    videos = [path for path in paths if is_video(path)]
    return [
        *({'paths': bundle, 'rank': 0, 'of': 1} for bundle in bundles),
        *({'paths': [v], 'rank': rank, 'of': workers} for v in videos for rank in range(workers)),
    ]


class _Worker:
    """An actor: a model and a gallery, both of the first part."""

    def __init__(self, root: str, make_detector: Callable[[], Detector], index: Index) -> None:
        self.root = root
        self.make_detector = make_detector
        self.index = index

    @cached_property
    def gallery(self) -> Gallery:
        return Gallery.open(self.root)

    @cached_property
    def detector(self) -> Detector:
        return self.make_detector()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        share = Share(int(batch['rank'][0]), int(batch['of'][0]))
        failure = ''
        try:
            report = self.index(self.gallery, self.detector, list(batch['paths'][0]), share=share)
        except Exception as error:  # raised, it would come as pages of Ray's own tracebacks
            report = IndexReport(sources=0, frames=0, persons=0, frames_before=0)
            failure = f'{type(error).__name__}: {error}'
        return {name: [value] for name, value in {**asdict(report), 'failure': failure}.items()}
