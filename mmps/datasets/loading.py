from io import BytesIO
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from PIL import ExifTags, Image

from mmps.registry import TRANSFORMS

from .messages import examples

MAX_IN_A_ROW = 10
"""So many unreadable images, one after another, are no accident: the files are not there."""


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """MMCV's ``LoadImageFromFile`` for files of which some may be damaged.

    Args:
        skip_unreadable: for training: let the dataset take another image, by chance, in place of
            one that cannot be read. That one then carries the key ``unreadable`` (paths, each with
            the reason), which ``mmps.PackPersonSearchInputs`` passes on and
            ``mmps.UnreadableImagesHook`` reports.
        **kwargs: of :class:`mmcv.transforms.LoadImageFromFile`.

    Raises:
        ValueError: an image cannot be read and is not skipped, or too many are, one after another;
            the message names them.
    """

    def __init__(self, *, skip_unreadable: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.skip_unreadable = skip_unreadable
        self._unreadable: list[str] = []

    def transform(self, results: dict) -> dict | None:
        """Load the image at ``img_path``; None where it is skipped."""
        try:
            loaded = self._load(results)
        except Exception as error:  # of the file system, of OpenCV, Pillow, ...
            problem = f'{results["img_path"]} ({_first_line(error)})'
            if not self.skip_unreadable:
                raise ValueError(f'An image cannot be read: {problem}') from error
            self._unreadable.append(problem)
            if len(self._unreadable) == MAX_IN_A_ROW:
                raise ValueError(
                    f'{MAX_IN_A_ROW} images, one after another, cannot be read; are the data in '
                    f'place? {examples(self._unreadable)}'
                ) from error
            return None
        if loaded is not None and self._unreadable:
            loaded['unreadable'] = tuple(self._unreadable)
            self._unreadable.clear()
        return loaded

    def _load(self, results: dict) -> dict | None:
        return super().transform(results)


@TRANSFORMS.register_module()
class LoadResizedImage(LoadImage):
    """``LoadImage`` and MMDet's ``Resize(scale, keep_ratio=True)`` in one, faster for large JPEGs.

    A JPEG at least twice, four or eight times as large as needed is decoded at that part of its
    size, which takes a part of the time; each pixel is then the mean of those it stands for,
    where bilinear interpolation picks some. All others are decoded and resized as by the two.

    Boxes that were loaded before are scaled: in a training pipeline this comes after
    ``mmps.LoadPersonSearchAnnotations``, in a test pipeline, where metrics want boxes in pixels of
    the frame, before it.

    Args:
        scale: longer and shorter side that the image must fit in, as ``Resize`` takes it.
        skip_unreadable: as of :class:`LoadImage`.
        backend_args: of MMEngine's file backend.

    Raises:
        ValueError: as :class:`LoadImage`.
    """

    def __init__(
        self,
        scale: tuple[int, int],
        *,
        skip_unreadable: bool = False,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(skip_unreadable=skip_unreadable, backend_args=backend_args)
        self.scale = scale

    def _load(self, results: dict) -> dict:
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        (width, height), is_jpeg = _header(content)
        size = mmcv.rescale_size((width, height), self.scale)
        flag = _decoding((width, height), size) if is_jpeg else cv2.IMREAD_COLOR
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
        if image is None:
            raise ValueError('OpenCV cannot decode it')
        results['img'] = mmcv.imresize(image, size)
        results['img_shape'] = size[::-1]
        results['ori_shape'] = (height, width)
        results['scale'] = self.scale
        results['scale_factor'] = (size[0] / width, size[1] / height)
        results['keep_ratio'] = True
        if 'gt_bboxes' in results:
            results['gt_bboxes'].rescale_(results['scale_factor'])
            results['gt_bboxes'].clip_(results['img_shape'])
        return results


_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)
_QUARTER_TURNS = 5
"""EXIF's orientations from this one on swap width and height; OpenCV turns such images upright."""


def _decoding(frame: tuple[int, int], size: tuple[int, int]) -> int:
    """OpenCV's flag that decodes a JPEG at the least size, rounded up, that is not below this."""
    for times, flag in _REDUCED:
        if all(-(-whole // times) >= needed for whole, needed in zip(frame, size, strict=True)):
            return flag
    return cv2.IMREAD_COLOR


def _header(content: bytes) -> tuple[tuple[int, int], bool]:
    """Width and height of an image as OpenCV decodes it, and whether it is a JPEG."""
    with Image.open(BytesIO(content)) as image:
        width, height = image.size
        if image.getexif().get(ExifTags.Base.Orientation, 1) >= _QUARTER_TURNS:
            width, height = height, width
        return (width, height), image.format == 'JPEG'


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
