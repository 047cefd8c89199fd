"""Galleries that users build: one after the other, in the background, searchable from the start."""

import re
import threading
from collections.abc import MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from mmengine.logging import print_log

from mmps.gallery import Gallery, Progress, find_sources, index_sources

from .access import inside, list_folders
from .galleries import OpenGallery
from .shared_model import SharedModel

_NAME = re.compile(r'[\w][\w .-]{0,63}')
_SECONDS_PER_SHARD = 5.0  # how long a person may be found and not yet be searched


class Builder:
    """Builds galleries from folders that users choose.

    Args:
        galleries: by name; a new one is added when its building begins.
        model: finds and embeds persons.
        roots: folders that users may choose, and those in them.
        folder: where new galleries go.
        index: address of a Milvus server; None for faiss in this process.
    """

    def __init__(
        self,
        galleries: MutableMapping[str, OpenGallery],
        model: SharedModel,
        *,
        roots: Sequence[Path],
        folder: Path,
        index: str | None = None,
    ) -> None:
        self.galleries = galleries
        self._model = model
        self._roots = roots
        self._folder = folder
        self._index = index
        self._states: dict[str, str] = {}
        self._builds: dict[str, Future[None]] = {}
        self._starting = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix='build')

    @property
    def busy(self) -> bool:
        """Whether a gallery is being built, or waits for its turn."""
        return not all(build.done() for build in list(self._builds.values()))

    def folders(self) -> list[str]:
        """Folders to choose from."""
        return list_folders(self._roots)

    def states(self) -> str:
        """How far each gallery is that was built since the start, in Markdown."""
        return '\n'.join(f'- **{name}**: {state}' for name, state in list(self._states.items()))

    def start(self, name: str, folder: str, *, camera: str, fps: float) -> None:
        """Begin to build a gallery, or to add to one that was built here.

        Args:
            name: of the gallery, and of its folder.
            folder: of images and videos, also in folders of it.
            camera: name of the camera that took all of them; '' if unknown.
            fps: frames a second of a video.

        Raises:
            ValueError: if the name cannot be that of a folder, is that of a gallery from elsewhere
                or of one that is being built, or if the folder is none of those to choose from.
        """
        name = name.strip()
        if not _NAME.fullmatch(name):
            raise ValueError('Name the gallery: letters, digits, spaces, dots, dashes; at most 64')
        root = self._folder / name
        source = inside(folder, self._roots)
        sources = [path for path in find_sources([source]) if _is_inside(path, self._roots)]
        with self._starting:
            if name in self._builds and not self._builds[name].done():
                raise ValueError(f'{name} is being built: wait until it is done')
            if name in self.galleries and self.galleries[name].gallery.root != root:
                raise ValueError(f'There is a gallery {name} from elsewhere: choose another name')
            gallery = Gallery.create(
                root,
                model_id=self._model.model_id,
                embed_dim=self._model.embed_dim,
                model=self._model.origin,
            )
            if name not in self.galleries:
                self.galleries[name] = OpenGallery(
                    root, model_id=self._model.model_id, index=self._index
                )
            self._states[name] = 'waiting for its turn'
            self._builds[name] = self._worker.submit(
                self._build, name, gallery, sources, camera, fps
            )

    def wait(self) -> None:
        """Wait until everything is built."""
        wait(list(self._builds.values()))

    def close(self) -> None:
        """Wait for what is being built; what waits is given up."""
        self._worker.shutdown(cancel_futures=True)

    def _build(
        self, name: str, gallery: Gallery, sources: list[str], camera: str, fps: float
    ) -> None:
        def tell(progress: Progress) -> None:
            self._states[name] = (
                f'{progress.sources_done:,} of {progress.sources:,} files, '
                f'{progress.frames:,} frames, {progress.persons:,} people'
            )

        try:
            report = index_sources(
                gallery,
                self._model,
                sources,
                camera=camera.strip(),
                fps=fps,
                seconds_per_shard=_SECONDS_PER_SHARD,
                on_progress=tell,
            )
            self._states[name] = (
                f'done: {report.persons:,} people in {report.frames:,} frames of '
                f'{report.sources:,} files' + _describe_problems(report.problems)
            )
        except (OSError, ValueError) as error:
            self._states[name] = f'failed: {error}'
        except Exception as error:  # the page goes on; the log says what happened
            print_log(f'Building {name}: {error!r}', logger='current')
            self._states[name] = 'failed: the log of the server says why'


def _is_inside(path: str, roots: Sequence[Path]) -> bool:
    try:
        inside(path, roots)
    except ValueError:
        return False
    return True


def _describe_problems(problems: Sequence[str]) -> str:
    if not problems:
        return ''
    return f'; {len(problems)} could not be read, first {problems[0]}'
