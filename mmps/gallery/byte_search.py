"""Looking for bytes in files: whether anything of a deleted person is left."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PIECE = 48
"""Of so many bytes is what is looked for: 12 numbers of an embedding, some rows of a JPEG."""

_BLOCK = 1 << 22


def piece_of_embedding(embedding: NDArray[np.float32]) -> bytes:
    """The bytes around the largest number of an embedding (D,), at most ``PIECE``.

    Those of an embedding with many zeros are not zeros only, which would be found everywhere.
    """
    length = PIECE // 4
    largest = int(np.abs(embedding).argmax())
    start = min(max(0, largest - length // 2), max(0, len(embedding) - length))
    return embedding[start : start + length].tobytes()


def piece_of_thumbnail(jpeg: bytes) -> bytes:
    """Bytes of the coded picture: JPEGs begin and end alike."""
    return jpeg[-PIECE - 2 : -2]


class PieceFinder:
    """Finds many pieces of bytes in files.

    Args:
        pieces: what to look for, each of at least 3 bytes.
    """

    def __init__(self, pieces: Collection[bytes]) -> None:
        self._by_length: dict[int, set[bytes]] = {}
        self._prefixes = np.zeros(1 << 24, dtype=bool)  # of three bytes
        for piece in pieces:
            self._by_length.setdefault(len(piece), set()).add(piece)
            self._prefixes[int.from_bytes(piece[:3], 'little')] = True

    def find(self, path: Path) -> set[bytes]:
        """Those of the pieces that are in a file, which is read in blocks.

        Raises:
            FileNotFoundError: it is not there any more.
        """
        found: set[bytes] = set()
        for block in _blocks(path, overlap=max(self._by_length, default=1) - 1):
            values = np.frombuffer(block, dtype=np.uint8).astype(np.uint32)
            keys = values[:-2] | values[1:-1] << 8 | values[2:] << 16
            for start in np.flatnonzero(self._prefixes[keys]).tolist():
                for length, wanted in self._by_length.items():
                    if (candidate := block[start : start + length]) in wanted:
                        found.add(candidate)
        return found


def _blocks(path: Path, *, overlap: int) -> Iterator[bytes]:
    """Blocks of a file, each beginning with the end of the one before."""
    with path.open('rb') as file:
        before = b''
        while block := file.read(_BLOCK):
            yield before + block
            before = (before + block)[-overlap:] if overlap else b''
