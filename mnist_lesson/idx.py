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
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ._system import atomic_write
from ._values import home_path, to_array

TYPES: dict[int, np.dtype] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
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

    Examples
    --------
    >>> write_idx("/tmp/three.idx", np.uint8([[1, 2, 3]]))
    >>> read_idx("/tmp/three.idx")
    array([[1, 2, 3]], dtype=uint8)
    """
    path = home_path(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if not zipped:
            return _read_array(file, path, left=os.fstat(file.fileno()).st_size)
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                return _read_array(unzipped, path, left=None)
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
    big_endian = array.dtype.newbyteorder(">")
    code = next((code for code, dtype in TYPES.items() if dtype == big_endian), None)
    if code is None:
        known = ", ".join(dtype.newbyteorder("=").name for dtype in TYPES.values())
        raise IdxError(
            f"{path}: IDX has no element type for {array.dtype}; convert the array "
            f"with .astype to one of {known}"
        )
    if max(array.shape, default=0) >= 2**32:
        raise IdxError(f"{path}: IDX sizes have 32 bits; {array.shape} has larger ones")
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        if path.suffix.lower() == ".gz":
            # No name and no time in the gzip header: equal arrays make equal files.
            with gzip.GzipFile("", "wb", 9, file, mtime=0) as zipped:
                zipped.write(header + array.astype(big_endian).tobytes())
        else:
            file.write(header)
            array.astype(big_endian).tofile(file)


def _read_array(file: io.BufferedIOBase, path: Path, left: int | None) -> np.ndarray:
    """Read header and elements; `left` is the file's size in bytes, if known."""
    magic = file.read(4)
    if not magic:
        raise IdxError(f"{path}: expected an IDX file, but it is empty")
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise IdxError(
            f"{path}: expected an IDX file, which starts with two zero bytes, a type "
            f"and a number of dimensions, but found {magic.hex(' ')}"
        )
    dtype = TYPES.get(magic[2])
    if dtype is None:
        known = ", ".join(f"0x{code:02x}" for code in TYPES)
        raise IdxError(
            f"{path}: expected one of the element types {known}, "
            f"but found 0x{magic[2]:02x}"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise IdxError(
            f"{path}: expected {magic[3]} sizes of 4 bytes each, "
            f"but the file ends after {len(sizes)} of these bytes"
        )
    # Python's integers: a product of sizes may not fit into 64 bits.
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    expected = math.prod(shape) * dtype.itemsize
    if left is None:
        found, elements = _unzip(file, expected)
    else:
        found, elements = left - 4 - len(sizes), None
    if found != expected:
        much = "more" if found > expected and left is None else f"{found:,}"
        raise IdxError(
            f"{path}: expected {expected:,} bytes of elements for the sizes "
            f"{' x '.join(map(str, shape))} in its header, but found {much}"
        )
    try:
        if elements is None:
            array = np.fromfile(file, dtype, math.prod(shape)).reshape(shape)
        else:
            array = np.frombuffer(elements, dtype).reshape(shape)
    except ValueError as error:
        raise IdxError(
            f"{path}: expected sizes that NumPy can hold, but found {len(shape)} "
            f"dimensions ({error})"
        ) from error
    if array.dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _unzip(file: io.BufferedIOBase, expected: int) -> tuple[int, bytearray]:
    """Decompress all there is, but not much more than `expected` bytes.

    Memory is taken for what was really found, so that a header which promises
    terabytes costs nothing.
    """
    elements = bytearray()
    while len(elements) <= expected and (chunk := file.read1(CHUNK)):
        elements += chunk
    return len(elements), elements
