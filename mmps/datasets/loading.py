from typing import Any

from mmcv.transforms import LoadImageFromFile

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
            loaded = super().transform(results)
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


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
