"""Read and write IDX, the file format of MNIST.

A file is a header and then the elements, row by row, every number big-endian::

    00 00  type  dimensions      two zeros, then one byte each
    size 0 … size n-1            four bytes each, unsigned
    element, element, …          to the end of the file

Source: LeCun, Cortes and Burges, *The MNIST database of handwritten digits*, "File
formats".
"""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .system import atomic_write
from .values import home_path, to_array

TYPES = {0x08: "|u1", 0x09: "|i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CODES = {dtype: code for code, dtype in TYPES.items()}
GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952; an IDX file starts with two zeros instead
CHUNK = 1 << 20  # bytes decompressed at a time, at most


class IdxError(ValueError):
    """Not a valid IDX file: which one, what was expected and what was found."""


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file, plain or gzipped (told by its content, not by its name).

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    numpy.ndarray
        As many dimensions as the file has, in native byte order, writable.

    Raises
    ------
    IdxError
        If the file is not exactly one whole IDX array. What a header promises is
        checked against what is there before memory is taken for it.
    OSError
        If the file cannot be opened.
    """
    path = home_path(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        try:
            return _read_array(gzip.GzipFile(fileobj=file) if zipped else file, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise IdxError(
                f"{path}: expected a whole gzip file, but it is cut short or damaged "
                f"({error}); fetch it again"
            ) from error


def write_idx(path: str | os.PathLike[str], array: ArrayLike) -> None:
    """Write `array` as an IDX file, gzipped when the name ends in ``.gz``.

    The file appears whole or not at all, and the same array gives the same bytes.

    Parameters
    ----------
    path
        The file to make, or to replace.
    array
        uint8, int8, int16, int32, float32 or float64; any shape; an array or a tensor.

    Raises
    ------
    IdxError
        If IDX has no such element type, or no room for a dimension.
    OSError
        If the file cannot be written.
    """
    path, array = home_path(path), to_array(array)
    if array.dtype.newbyteorder(">").str not in CODES:
        known = ", ".join(np.dtype(dtype).name for dtype in CODES)
        raise IdxError(
            f"{path}: IDX has no element type for {array.dtype}; convert the array "
            f"with .astype to one of {known}"
        )
    if max(array.shape, default=0) >= 2**32:
        raise IdxError(f"{path}: IDX sizes have 32 bits; {array.shape} has larger ones")
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        if path.suffix.lower() == ".gz":
            # No name and no time in the gzip header: equal arrays make equal files.
            with gzip.GzipFile("", "wb", 9, file, mtime=0) as zipped:
                zipped.writelines(idx_parts(array))
        else:
            file.writelines(idx_parts(array))


def idx_parts(array: np.ndarray) -> tuple[bytes, Any]:
    """Give what an array's IDX file holds, not gzipped: its header and its elements."""
    elements = np.require(array, array.dtype.newbyteorder(">"), "C")
    header = 0, 0, CODES[elements.dtype.str], array.ndim, *array.shape
    return struct.pack(f">4B{array.ndim}I", *header), elements


def _read_array(file: io.BufferedIOBase, path: Path) -> np.ndarray:
    """Read header and elements; allocate no more than the file really holds."""
    magic = file.read(4)
    if not magic:
        raise IdxError(f"{path}: expected an IDX file, but it is empty")
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise IdxError(
            f"{path}: expected an IDX file, which starts with two zero bytes, a type "
            f"and a number of dimensions, but found {magic.hex(' ')}"
        )
    code, ndim = magic[2:]
    if code not in TYPES:
        known = ", ".join(f"0x{code:02x}" for code in TYPES)
        raise IdxError(
            f"{path}: expected one of the element types {known}, but found 0x{code:02x}"
        )
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise IdxError(
            f"{path}: expected {ndim} sizes of 4 bytes each, "
            f"but the file ends after {len(sizes)} of these bytes"
        )
    shape, dtype = struct.unpack(f">{ndim}I", sizes), np.dtype(TYPES[code])
    expected = math.prod(shape) * dtype.itemsize
    if zipped := isinstance(file, gzip.GzipFile):
        content = bytearray()
        while len(content) <= expected and (chunk := file.read1(CHUNK)):
            content += chunk
        elements = np.frombuffer(content, np.uint8)
    else:
        elements = np.fromfile(file, np.uint8)
    if elements.size != expected:
        more = zipped and elements.size > expected
        found = "more" if more else f"{elements.size:,}"
        raise IdxError(
            f"{path}: expected {expected:,} bytes of elements for the sizes "
            f"{' x '.join(map(str, shape)) or '()'} in its header, but found {found}"
        )
    try:
        array = elements.view(dtype).reshape(shape)
    except ValueError as error:
        raise IdxError(
            f"{path}: expected sizes that NumPy can hold, but found {ndim} "
            f"dimensions ({error})"
        ) from error
    return array.astype(dtype.newbyteorder("="), copy=False)
