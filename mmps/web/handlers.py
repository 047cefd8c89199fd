"""What happens when a user does something: from what the page holds to what it shows next.

A method takes values of the page's components and returns values of others, as
:mod:`mmps.web.page` connects them. What belongs to one user travels in arguments and results;
nothing of it is kept here.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import numpy as np
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from mmps.index import Match
from mmps.times import describe_time

from . import results
from .builds import Builder
from .galleries import GalleryFacts, OpenGallery
from .kept import Kept, asked_for, keep
from .pictures import decode_thumbnail, draw_people
from .query import Query
from .results import EXPORTS, Found
from .shared_model import SharedModel
from .uploads import decode_upload

CLICK, MARK = 'Click a person', 'Mark someone by two corners'
GROUPS: dict[str, Literal['track', 'image'] | None] = {
    'Every sighting': None,
    'Best of each image': 'image',
    'Best of each track': 'track',
}
_HOW_TO = {
    CLICK: 'Click the person you are looking for.',
    MARK: 'Click two opposite corners of a box around the person.',
}
MAX_RESULTS = 120
NO_QUERY = 'The most similar people will be here.'
_HIDDEN = gr.update(visible=False)
_TRACK_LENGTH = 40
_MAX_CHOICES = 5000


class Handlers:
    """Answers to what users do.

    Args:
        galleries: by name; may grow.
        model: embeds queries.
        builder: makes new galleries; None if users may not.
    """

    def __init__(
        self,
        galleries: Mapping[str, OpenGallery],
        model: SharedModel,
        *,
        builder: Builder | None = None,
    ) -> None:
        self.galleries = galleries
        self.model = model
        self.builder = builder

    def look(self, name: str | None) -> tuple[Any, Any, Any]:
        """Facts, sources to take a frame of, and cameras to filter by, as they are now."""
        if name is None:
            return 'There is no gallery yet: build one below.', _choices([]), _choices([])
        facts = self._gallery(name).facts()
        folder = results.common_folder(facts.sources)
        sources = [(results.short_name(source, folder), source) for source in facts.sources]
        cameras = [results.camera_name(camera) for camera in facts.cameras]
        return _describe(facts), _choices(sources[:_MAX_CHOICES]), _choices(cameras)

    def open_gallery(self, name: str | None) -> tuple[Any, Any, Any]:
        """As :meth:`look`, and nothing of it is chosen any more."""
        facts, sources, cameras = self.look(name)
        return facts, {**sources, 'value': None}, {**cameras, 'value': []}

    def list_frames(self, name: str, source: str | None) -> Any:
        """The frames of a source with somebody in them; the first is chosen."""
        frames = self._gallery(name).frames(source)[:_MAX_CHOICES] if source else []
        first = frames[0] if frames else None
        return gr.update(choices=frames, value=first, visible=len(frames) > 1)

    def upload(self, path: str | None) -> tuple[Query | None, Any, str]:
        """Detect the people in an uploaded picture."""
        if path is None:
            return None, None, ''
        try:
            scene = decode_upload(path)
        finally:
            Path(path).unlink(missing_ok=True)  # what others upload is not kept
        [persons] = self.model.detect([scene])
        return self._new_query(Query(scene, Path(path).name, persons))

    def take_frame(
        self, name: str, source: str | None, frame: int | None
    ) -> tuple[Query | None, Any, str]:
        """Show a frame of the gallery with the people who were found in it."""
        if not source or frame is None:
            return None, None, 'Choose an image or video of the gallery.'
        gallery = self._gallery(name)
        scene, persons = gallery.scene(source, frame), gallery.persons(source, frame)
        return self._new_query(Query(scene, f'{Path(source).name}, frame {frame}', persons))

    def click(
        self, query: Query | None, mode: str, event: gr.SelectData
    ) -> tuple[Query | None, Any, str]:
        """Choose whoever was clicked, or set a corner of a box."""
        if query is None:
            return None, None, ''
        x, y = event.index
        marking = mode == MARK
        query = query.mark((x, y), embed=self.model.embed) if marking else query.click((x, y))
        hint = 'Looking for the person in the blue box. Click another one to look for them instead.'
        if query.corner is not None:
            hint = 'Now click the opposite corner.'
        return query, query.picture(), hint

    def explain(self, mode: str) -> str:
        """What to do in a mode."""
        return _HOW_TO[mode]

    def keep(self, query: Query | None, kept: Kept) -> tuple[Kept, Any, list[Any], str]:
        """Keep whoever is chosen, to be searched for together with whom is chosen next."""
        kept = keep(query, kept)
        crops = [(picture.scene[..., ::-1], picture.name) for picture in kept]
        hint = 'Kept. Now click the same person in another picture: both are searched for together.'
        return kept, gr.update(visible=True), crops, hint

    def start_over(self) -> tuple[Kept, Any, list[Any], str]:
        """Keep no picture any more."""
        return (), _HIDDEN, [], 'No picture is kept any more. ' + _HOW_TO[CLICK]

    def search(
        self,
        query: Query | None,
        name: str,
        cameras: list[str],
        path: str,
        begin: str,
        end: str,
        group: str,
        topk: int,
        kept: Kept = (),
    ) -> tuple[Any, ...]:
        """Rank the persons of the gallery; without any picture there is nothing to show."""
        pictures = asked_for(query, kept)
        if not pictures:
            return None, _HIDDEN, [], NO_QUERY, [], *self._nothing_chosen()
        gallery = self._gallery(name)
        facts = gallery.facts()
        filters = results.make_filters(facts, cameras=cameras, path=path, begin=begin, end=end)
        matches = gallery.search(
            np.concatenate([picture.embedding for picture in pictures]),
            topk=min(int(topk), MAX_RESULTS),
            filters=filters,
            group=GROUPS[group],
        )
        folder = results.common_folder(facts.sources)
        found = Found(name, folder, pictures, matches)
        together = f', by **{len(pictures)}** pictures of one person' if len(pictures) > 1 else ''
        text = (
            f'**{len(matches)}** of {facts.persons:,} people in *{name}*{together}. '
            'Below each: rank and similarity, probability of the same person, camera and time. '
            'Click one to see more.'
        )
        if not matches:
            return found, _HIDDEN, [], 'Nobody passes these filters.', [], *self._nothing_chosen()
        rows = results.table_rows(matches, folder=folder)
        crops = self._crops(gallery, matches)
        return found, gr.update(visible=True), crops, text, rows, *self._show(found, 0)

    def choose_result(self, found: Found | None, event: gr.SelectData) -> tuple[Any, ...]:
        """Show the scene, the facts and the track of the result that was clicked."""
        if found is None:
            return self._nothing_chosen()
        return self._show(found, int(event.index))

    def export(self, found: Found | None, kind: str) -> str:
        """Write the results to a file that the user alone can have.

        Returns:
            Its path in gradio's cache, from where it is served and deleted after a while.
        """
        if found is None or not found.matches:
            raise ValueError('There are no results to save')
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f'results.{kind.lower()}')
            EXPORTS[kind](path, found, self._gallery(found.name).gallery)
            cached: str = save_file_to_cache(path, cache_dir=get_upload_folder())
        return cached

    def build(self, name: str, folder: str | None, camera: str, fps: float) -> tuple[Any, ...]:
        """Begin to build a gallery; it is chosen, and what is known of it asked for."""
        if self.builder is None or folder is None:
            raise ValueError('Choose a folder of images and videos')
        self.builder.start(name, folder, camera=camera, fps=fps)
        chosen = gr.update(choices=list(self.galleries), value=name.strip())
        return chosen, self.builder.states(), gr.Timer(active=True)

    def watch(self, name: str | None) -> tuple[Any, ...]:
        """How far the galleries are that are being built, and what is in the one chosen."""
        states, busy = (
            ('', False) if self.builder is None else (self.builder.states(), self.builder.busy)
        )
        choices = gr.update(choices=list(self.galleries))
        return choices, states, gr.Timer(active=busy), *self.look(name)

    def _show(self, found: Found, place: int) -> tuple[Any, ...]:
        """Scene, facts, track and a remark on the track of a result."""
        gallery, match = self._gallery(found.name), found.matches[place]
        facts = results.describe(place + 1, match, folder=found.folder)
        try:
            scene = gallery.scene(match.source, match.frame)
            bbox = np.array(match.bbox, np.float32)
            picture = draw_people(scene, np.zeros((0, 4), np.float32), chosen=bbox)
        except (FileNotFoundError, ValueError):
            [jpeg] = gallery.thumbnails([match.row_id])
            picture = decode_thumbnail(jpeg)
            facts += '\n\nIts scene cannot be read any more.'
        if match.track < 0:
            return picture, facts, [], 'Only people in videos have tracks.'
        track = gallery.track(match, limit=_TRACK_LENGTH)
        thumbnails = gallery.thumbnails([step.row_id for step in track])
        steps = [
            (decode_thumbnail(jpeg), describe_time(step.time) or f'frame {step.frame}')
            for jpeg, step in zip(thumbnails, track, strict=True)
        ]
        return picture, facts, steps, f'{len(track)} moments of one walk through the video.'

    @staticmethod
    def _nothing_chosen() -> tuple[Any, ...]:
        return None, '', [], ''

    def _crops(self, gallery: OpenGallery, matches: Sequence[Match]) -> list[tuple[Any, str]]:
        thumbnails = gallery.thumbnails([match.row_id for match in matches])
        return [
            (decode_thumbnail(jpeg), results.caption(rank, match))
            for rank, (jpeg, match) in enumerate(zip(thumbnails, matches, strict=True), start=1)
        ]

    def _gallery(self, name: str) -> OpenGallery:
        if name not in self.galleries:  # names come from the browser
            raise ValueError(f"There is no gallery '{name}'")
        return self.galleries[name]

    @staticmethod
    def _new_query(query: Query) -> tuple[Query, Any, str]:
        number = len(query.persons)
        if number == 0:
            hint = f'Nobody was detected in {query.name}. Choose “{MARK}”.'
        else:
            people = 'One person was' if number == 1 else f'{number} people were'
            hint = f'{people} detected in {query.name}. Click the one you are looking for.'
        return query, query.picture(), hint


def _choices(choices: list[Any]) -> Any:
    return gr.update(choices=choices)


def _describe(facts: GalleryFacts) -> str:
    text = f'{facts.persons:,} people in {facts.frames:,} frames of {len(facts.sources):,} files'
    if facts.calibration is None:
        return (
            f'{text}. **Not calibrated**: similarities rank people, they do not say how sure a '
            'match is (`mmps calibrate` does).'
        )
    point = facts.calibration.point
    return (
        f'{text}. Calibrated with {facts.calibration.labels}: from a similarity of '
        f'{point.threshold:.3f} on, {100 * facts.calibration.false_alarm_rate:g} % of strangers '
        'pass.'
    )
