"""Reading a large struct array of a .mat file a few structs at a time.

SciPy makes objects of every value: about a kilobyte for each gallery entry of CUHK-SYSU, 13 GB
for ``TestG4000.mat``. Here the struct array is cut into short ones, which SciPy reads one by one.
The format is that of MATLAB's "MAT-File Format", level 5: an element is a tag of type and size,
and data padded to 8 bytes.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy.io import loadmat

from .mat_files import read_variable

_LEVEL_5 = b'\x00\x01IM'  # little-endian, as every machine of today writes it
_HEADER_SIZE = 128
_INT32, _MATRIX, _COMPRESSED = 5, 14, 15  # types of elements
_STRUCT_CLASS = 2

_Read = Callable[[int], bytes]


@dataclass(frozen=True)
class _StructArray:
    """A struct array, read up to its first struct.

    ``flags`` and ``names`` are the elements that a shorter array has in common with it, before and
    after its dimensions.
    """

    read: _Read
    flags: bytes
    names: bytes
    count: int
    num_fields: int


def read_struct_chunks(path: Path, key: str, *, size: int) -> Iterator[np.ndarray]:
    """The struct array ``key`` of a .mat file in chunks of at most ``size`` structs.

    A variable that is none, or in another format, comes whole, as SciPy reads it.

    Raises:
        ValueError: as :func:`~mmps.datasets.mat_files.read_variable`.
    """
    with path.open('rb') as file:
        try:
            header = file.read(_HEADER_SIZE)
            array = _find(file, key) if header.endswith(_LEVEL_5) else None
            for begin in range(0, array.count if array else 0, size):
                assert array is not None
                yield _load(array, header, key, min(size, array.count - begin))
        except (EOFError, ValueError, struct.error, zlib.error) as error:
            raise ValueError(f'{path}: not a readable .mat file, or truncated ({error})') from error
    if array is None:
        yield read_variable(path, key)


def _find(file: BinaryIO, key: str) -> _StructArray | None:
    size = os.fstat(file.fileno()).st_size
    while file.tell() < size:
        kind, nbytes = struct.unpack('<II', file.read(8))
        end = file.tell() + nbytes
        if end > size:
            raise EOFError(f'{end - size} bytes are missing')
        stream: io.BufferedIOBase | BinaryIO = file
        if kind == _COMPRESSED:
            stream = io.BufferedReader(_Inflated(file, nbytes))
            kind, _ = struct.unpack('<II', stream.read(8))
        if kind == _MATRIX:
            read = _exactly(stream)
            flags, flag_bytes = _element(read)
            _, dims = _element(read)
            name, name_bytes = _element(read)
            if name_bytes.decode('latin-1') == key:
                if flag_bytes[0] != _STRUCT_CLASS:
                    return None
                length, length_bytes = _element(read)
                fields, field_bytes = _element(read)
                return _StructArray(
                    read=read,
                    flags=flags,
                    names=name + length + fields,
                    count=int(np.prod(np.frombuffer(dims, '<i4'))),
                    num_fields=len(field_bytes) // int.from_bytes(length_bytes, 'little'),
                )
        file.seek(end)
    return None


def _load(array: _StructArray, header: bytes, key: str, count: int) -> np.ndarray:
    """The next ``count`` structs: a .mat file with nothing else in it, read by SciPy."""
    parts = [array.flags, struct.pack('<IIii', _INT32, 8, 1, count), array.names]
    for _ in range(count * array.num_fields):
        tag = array.read(8)
        kind, nbytes = struct.unpack('<II', tag)
        if kind != _MATRIX:
            raise ValueError(f'an element of type {kind} where a value of a struct should be')
        parts += [tag, array.read(nbytes)]
    content = b''.join(parts)
    tag = struct.pack('<II', _MATRIX, len(content))
    try:
        chunk: np.ndarray = loadmat(io.BytesIO(header + tag + content))[key]
    except Exception as error:  # damaged content takes SciPy's reader anywhere
        raise ValueError(f'{type(error).__name__}: {error}') from error
    return chunk


def _element(read: _Read) -> tuple[bytes, bytes]:
    """An element with its tag, and its data."""
    tag = read(8)
    kind, nbytes = struct.unpack('<II', tag)
    if kind >> 16:  # a small one: size and type share a word, the data are in the other
        return tag, tag[4 : 4 + (kind >> 16)]
    data = read(nbytes + -nbytes % 8)
    return tag + data, data[:nbytes]


def _exactly(stream: io.BufferedIOBase | BinaryIO) -> _Read:
    def read(nbytes: int) -> bytes:
        data = stream.read(nbytes)
        if len(data) < nbytes:
            raise EOFError(f'{nbytes - len(data)} bytes are missing')
        return data

    return read


class _Inflated(io.RawIOBase):
    """The bytes of a compressed element."""

    def __init__(self, file: BinaryIO, nbytes: int) -> None:
        self._file = file
        self._left = nbytes
        self._inflate = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: 'memoryview') -> int:  # type: ignore[override]
        data = b''
        while not data and (self._left or self._inflate.unconsumed_tail):
            compressed = self._inflate.unconsumed_tail
            if not compressed:
                compressed = self._file.read(min(self._left, io.DEFAULT_BUFFER_SIZE))
                self._left -= len(compressed)
            data = self._inflate.decompress(compressed, len(buffer))
        buffer[: len(data)] = data
        return len(data)
