"""Visualizer of person search: identities in scenes, and ranked results of a search."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only
from mmengine.structures import InstanceData
from mmengine.visualization.utils import tensor2ndarray

from mmps.registry import VISUALIZERS

from .scenes import Boxes, Image, crop_window, cut_window, read_scene, to_tile

RIGHT_COLOR = (22, 163, 74)
WRONG_COLOR = (220, 38, 38)
QUERY_COLOR = (37, 99, 235)
TRUTH_COLOR = (250, 204, 21)
UNKNOWN_COLOR = (160, 160, 160)
RESULT_COLOR = (217, 119, 6)

_GOLDEN_RATIO = 0.618034
_CONTEXT = 1.6
_GAP = 8


@dataclass(frozen=True)
class RankedResult:
    """One ranked result of a search.

    Attributes:
        image: The scene: RGB array (H, W, 3) or the path of its file.
        bbox: The detection, x1, y1, x2, y2 in pixels of the scene.
        similarity: Similarity to the query, as it was ranked.
        correct: Whether the detection is the person looked for; None where nobody knows.
        gt_bboxes: Where the person looked for really is in this scene, (N, 4); mostly N <= 1.
    """

    image: Image | str | Path
    bbox: Boxes
    similarity: float
    correct: bool | None = None
    gt_bboxes: Boxes = field(default_factory=lambda: np.empty((0, 4), dtype=np.float32))

    @property
    def color(self) -> tuple[int, int, int]:
        """Red, green and blue of what is drawn of it: green right, red wrong, orange unknown."""
        if self.correct is None:
            return RESULT_COLOR
        return RIGHT_COLOR if self.correct else WRONG_COLOR


def pid_color(pid: int) -> tuple[int, int, int]:
    """Colour of an identity: always the same one, and unlike those of its neighbours.

    Args:
        pid: Identity; negative for a person without one.

    Returns:
        Red, green and blue, 0 to 255; grey without identity.
    """
    if pid < 0:
        return UNKNOWN_COLOR
    # Steps of the golden ratio never come back to the same hue and spread evenly at any count.
    red, green, blue = colorsys.hsv_to_rgb(pid * _GOLDEN_RATIO % 1, 0.55 + pid % 3 * 0.2, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


@VISUALIZERS.register_module()
class PersonSearchVisualizer(DetLocalVisualizer):
    """MMDetection's visualizer that also draws identities and results of a search.

    Everything that works with ``DetLocalVisualizer`` works with it (``DetVisualizationHook``,
    ``browse_dataset.py``, any ``vis_backends``). Ground-truth boxes that have a ``pids`` field are
    drawn in the colour of their identity with its number, or '?' where it is not known.

    Args:
        name: Name of the instance; MMEngine keeps one of each name.
        tile_size: Width and height in pixels of one scene crop in a picture of a search.
        **kwargs: Passed to :class:`mmdet.visualization.DetLocalVisualizer`.
    """

    def __init__(
        self, name: str = 'visualizer', *, tile_size: tuple[int, int] = (240, 320), **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        self.tile_size = tile_size

    def _draw_instances(
        self,
        image: Image,
        instances: InstanceData,
        classes: Sequence[str] | None,
        palette: Sequence[tuple] | str | None,
    ) -> Image:
        """Draw boxes; those with identities get one colour and one name for each identity."""
        if 'bboxes' not in instances or len(instances.bboxes) == 0:
            return super()._draw_instances(image, instances, classes, palette)
        shown = InstanceData()
        boxes = instances.bboxes
        shown.bboxes = self._inside(tensor2ndarray(getattr(boxes, 'tensor', boxes)), image)
        shown.labels = instances.labels
        if 'scores' in instances:
            shown.scores = instances.scores
        if 'pids' in instances:
            pids = tensor2ndarray(instances.pids).tolist()
            shown.label_names = [str(pid) if pid >= 0 else '?' for pid in pids]
            # The parent colours by label: a label of its own lets every box have its own colour.
            shown.labels = np.arange(len(pids))
            palette = [pid_color(pid) for pid in pids]
        return super()._draw_instances(image, shown, classes, palette)

    def _inside(self, boxes: Boxes, image: Image) -> Boxes:
        """Clip boxes so that they and their texts lie on the canvas; MMEngine warns otherwise."""
        last = np.array(image.shape[1::-1]) - 1
        low = np.clip(boxes[:, :2], 0, np.maximum(last - self.line_width, 0))
        return np.concatenate([low, np.clip(boxes[:, 2:], low, last)], axis=1)

    def draw_tile(
        self, image: Image | str | Path, bbox: Boxes, color: tuple[int, int, int], gt_bboxes: Boxes
    ) -> Image:
        """Draw the part of a scene around a box.

        Args:
            image: RGB array (H, W, 3) or the path of an image file.
            bbox: The box, x1, y1, x2, y2 in pixels of the scene.
            color: Red, green and blue of the box, 0 to 255.
            gt_bboxes: Ground truth, dashed, (N, 4); the tile is made to show it too.

        Returns:
            RGB array (tile height, tile width, 3).

        Raises:
            FileNotFoundError: The image file is missing.
            ValueError: The image file cannot be decoded.
        """
        scene = read_scene(image)
        boxes = np.concatenate([np.reshape(bbox, (1, 4)), np.reshape(gt_bboxes, (-1, 4))])
        width, height = self.tile_size
        window = crop_window(boxes, scene.shape[:2], aspect=width / height, zoom=_CONTEXT)
        self.set_image(cut_window(scene, window, tile_size=self.tile_size))
        tiled = to_tile(boxes, window, tile_size=self.tile_size)
        self.draw_bboxes(tiled[:1], edge_colors=color, line_widths=self.line_width, alpha=1)
        if len(gt_bboxes):
            # Over the detection, which it may coincide with: the gaps let that one show.
            self.draw_bboxes(
                tiled[1:], edge_colors=TRUTH_COLOR, line_styles='--', line_widths=1.5, alpha=1
            )
        return self.get_image()

    def draw_numbered(self, image: Image | str | Path, bboxes: Boxes) -> Image:
        """Draw the persons of an image with numbers, from 1, in the order of their boxes.

        Args:
            image: RGB array (H, W, 3) or the path of an image file.
            bboxes: x1, y1, x2, y2 in pixels of the image, (N, 4).

        Returns:
            RGB array (H, W, 3).
        """
        numbers = np.arange(1, len(bboxes) + 1)
        persons = InstanceData(bboxes=bboxes, labels=numbers, pids=numbers)
        return self._draw_instances(read_scene(image), persons, None, None)

    def draw_scene(
        self,
        image: Image | str | Path,
        bbox: Boxes,
        *,
        width: int,
        color: tuple[int, int, int] = QUERY_COLOR,
    ) -> Image:
        """Draw a whole scene with one person in it, by default the one looked for.

        Args:
            image: RGB array (H, W, 3) or the path of an image file.
            bbox: The person's box, x1, y1, x2, y2 in pixels of the scene.
            width: Width of the picture in pixels.
            color: Red, green and blue of the box, 0 to 255.

        Returns:
            RGB array (width * H / W, width, 3).
        """
        scene = read_scene(image)
        rows, columns = scene.shape[:2]
        size = (width, round(width * rows / columns))
        whole = np.array([0, 0, columns, rows], dtype=np.float32)
        self.set_image(cut_window(scene, whole, tile_size=size))
        box = to_tile(bbox, whole, tile_size=size)
        self.draw_bboxes(box, edge_colors=color, line_widths=self.line_width, alpha=1)
        return self.get_image()

    def draw_query(self, image: Image | str | Path, bbox: Boxes) -> Image:
        """Draw the person looked for: the part of its scene around its box (blue).

        Args:
            image: RGB array (H, W, 3) or the path of an image file.
            bbox: The person's box, x1, y1, x2, y2 in pixels of the scene.

        Returns:
            RGB array (tile height, tile width, 3).
        """
        return self.draw_tile(image, bbox, QUERY_COLOR, np.empty((0, 4), dtype=np.float32))

    def draw_result(self, result: RankedResult) -> Image:
        """Draw one result: its box in its colour, the ground truth dashed.

        Args:
            result: The result.

        Returns:
            RGB array (tile height, tile width, 3).
        """
        return self.draw_tile(result.image, result.bbox, result.color, result.gt_bboxes)

    @master_only
    def draw_search(
        self,
        query_image: Image | str | Path,
        query_bbox: Boxes,
        results: Sequence[RankedResult],
        *,
        title: str = 'query',
    ) -> Image:
        """Draw a search in one row: the query, then its results with their similarities.

        Args:
            query_image: The query's scene: RGB array (H, W, 3) or the path of its file.
            query_bbox: The person looked for, x1, y1, x2, y2 in pixels of that scene.
            results: The results, the most similar first.
            title: Written on the query.

        Returns:
            RGB array (H, W, 3).

        Raises:
            FileNotFoundError: The file of a scene is missing.
            ValueError: The file of a scene cannot be decoded.
        """
        tiles = [self._caption(self.draw_query(query_image, query_bbox), title, QUERY_COLOR)]
        for rank, result in enumerate(results, start=1):
            mark = {None: '', True: ' \N{CHECK MARK}', False: ' \N{BALLOT X}'}[result.correct]
            text = f'{rank}: {result.similarity:.3f}{mark}'
            tiles.append(self._caption(self.draw_result(result), text, result.color))
        gap = np.full((self.tile_size[1], _GAP, 3), 255, dtype=np.uint8)
        row = [part for tile in tiles for part in (tile, gap)]
        return np.concatenate(row[:-1], axis=1)

    def _caption(self, tile: Image, text: str, color: tuple[int, int, int]) -> Image:
        background = {
            'facecolor': tuple(part / 255 for part in color),
            'edgecolor': 'none',
            'pad': 3,
        }
        self.set_image(tile)
        corner = np.array([4, self.tile_size[1] - 5])
        self.draw_texts(
            text, corner, colors='w', vertical_alignments='bottom', bboxes=background, font_sizes=10
        )
        return self.get_image()

    @master_only
    def add_search(
        self,
        name: str,
        query_image: Image | str | Path,
        query_bbox: Boxes,
        results: Sequence[RankedResult],
        *,
        title: str = 'query',
        step: int = 0,
    ) -> None:
        """Draw a search and send the picture to all visualization back ends.

        Args:
            name: Name of the picture in the back ends.
            query_image: As for :meth:`draw_search`.
            query_bbox: As for :meth:`draw_search`.
            results: As for :meth:`draw_search`.
            title: Written on the query.
            step: Global step that the back ends record.
        """
        self.add_image(name, self.draw_search(query_image, query_bbox, results, title=title), step)
