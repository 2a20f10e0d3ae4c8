import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from mnist_lesson import IdxError, read_idx, write_idx

FORMATS = {
    "uint8": (0x08, "B"),
    "int8": (0x09, "b"),
    "int16": (0x0B, "h"),
    "int32": (0x0C, "i"),
    "float32": (0x0D, "f"),
    "float64": (0x0E, "d"),
}


def header(code, *shape):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


def by_hand(name, shape, elements):
    """The bytes of an IDX file, from the format's description and struct alone."""
    code, letter = FORMATS[name]
    return header(code, *shape) + struct.pack(f">{len(elements)}{letter}", *elements)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (1, 2, 3, 1), (0, 4)])
def test_reads_and_writes_every_type(tmp_path, name, shape, zipped):
    elements = [-3, 0, 1, 2, 100, 127] if name != "uint8" else [0, 1, 2, 3, 128, 255]
    elements = elements[: int(np.prod(shape))]
    content = by_hand(name, shape, elements)
    path = tmp_path / "file"  # no ".gz": what it is shows in its content
    path.write_bytes(gzip.compress(content) if zipped else content)

    array = read_idx(path)
    assert array.dtype == name and array.dtype.isnative
    assert array.shape == shape and array.ravel().tolist() == elements
    array[...] = 1  # writable

    written = tmp_path / ("out.gz" if zipped else "out")
    write_idx(written, np.array(elements, name).reshape(shape))
    raw = written.read_bytes()
    assert (gzip.decompress(raw) if zipped else raw) == content


@pytest.mark.parametrize("name", ["a.gz", "a.GZ", "a"])
def test_a_name_tells_where_and_how_to_write(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    array = np.arange(24, dtype=">i4").reshape(2, 3, 4)[:, ::-1].T
    write_idx(f"~/{name}", array)
    assert np.array_equal(read_idx(f"~/{name}"), array)
    written = (tmp_path / name).read_bytes()
    zipped = "." in name
    assert written.startswith(b"\x1f\x8b") == zipped
    assert not zipped or written[4:8] == bytes(4)  # no time, which would differ
    write_idx(tmp_path / f"b{name}", array)  # equal arrays make equal files
    assert (tmp_path / f"b{name}").read_bytes() == written


def test_reads_several_gzip_members(tmp_path):
    content = by_hand("uint8", (4,), [1, 2, 3, 4])
    path = tmp_path / "members.gz"
    path.write_bytes(gzip.compress(content[:9]) + gzip.compress(content[9:]))
    assert read_idx(path).tolist() == [1, 2, 3, 4]


GOOD = by_hand("uint8", (2, 3), [1, 2, 3, 4, 5, 6])
ZIPPED = gzip.compress(GOOD)
DAMAGED = {
    "empty": (b"", "empty"),
    "magic": (b"PK\x03\x04" + GOOD, "starts with two zero bytes.*50 4b 03 04"),
    "second zero": (b"\0\1\x08\x01" + GOOD, "starts with two zero bytes.*00 01"),
    "short magic": (b"\0\0\x08", "starts with two zero bytes"),
    "type": (b"\0\0\x0a\x01" + GOOD, "element types 0x08, 0x09, 0x0b.*found 0x0a"),
    "sizes cut": (GOOD[:7], "2 sizes of 4 bytes each.*after 3"),
    "truncated": (GOOD[:-1], "6 bytes.*2 x 3.*found 5"),
    "trailing": (GOOD + b"!", "6 bytes.*2 x 3.*found (7|more)$"),
    "impossible": (
        header(8, 2**31, 2**31) + b"few",
        "4,611,686,018,427,387,904 bytes.*found 3",
    ),
    "beyond 64 bits": (header(14, *[2**32 - 1] * 4), "2,722,.*found 0"),
    "huge but zero": (header(14, 0, *[2**32 - 1] * 3), "sizes that NumPy can hold"),
    "too many dimensions": (header(8, *[1] * 80) + b"7", "80 dimensions"),
}
CASES = {
    **DAMAGED,
    **{f"{k}, zipped": (gzip.compress(v[0]), v[1]) for k, v in DAMAGED.items()},
    **{
        f"zipped, cut at {end}": (ZIPPED[:end], "cut short or damaged")
        for end in (5, 15, 25, -9, -1)
    },
    "zipped, checksum": (ZIPPED[:-8] + bytes(8), "cut short or damaged"),
}


@pytest.mark.parametrize(("content", "message"), CASES.values(), ids=CASES)
def test_names_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "digits-idx"
    path.write_bytes(content)
    with pytest.raises(IdxError, match=f"digits-idx: expected .*{message}") as caught:
        read_idx(path)
    assert "\n" not in str(caught.value)


ZEROS = gzip.compress(bytes(10_000_000)) * 20  # 200 KB that hold 200 MB
HUNGRY = {
    "a promise": (header(8, 3, 2**30) + bytes(1000), 3 * 2**30, 1),
    "a promise, zipped": (gzip.compress(header(8, 3, 2**30)), 3 * 2**30, 10),
    "a bomb": (gzip.compress(header(8, 6)) + ZEROS, 6, 10),
    "both": (gzip.compress(header(8, 2**32 - 1)) + ZEROS, 2**32 - 1, 300),
}


@pytest.mark.parametrize(("content", "promised", "MB"), HUNGRY.values(), ids=HUNGRY)
def test_takes_memory_only_for_what_is_there(tmp_path, content, promised, MB):
    path = tmp_path / "file"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(IdxError, match=f"expected {promised:,} bytes.*found"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MB * 1e6


@pytest.mark.parametrize(
    "dtype", ["int64", "bool", "float16", "uint16", "complex64", "U3"]
)
def test_refuses_types_that_idx_lacks(tmp_path, dtype):
    path = tmp_path / "labels"
    path.write_bytes(GOOD)
    known = "uint8, int8, int16, int32, float32, float64"
    with pytest.raises(IdxError, match=rf"labels: .* type for .* to one of {known}$"):
        write_idx(path, np.zeros(3, dtype))
    with pytest.raises(IdxError, match="sizes have 32 bits"):
        write_idx(path, np.zeros((2**32, 0), np.uint8))
    assert path.read_bytes() == GOOD  # what was there is still there


def test_files_and_folders_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="make the folder"):
        write_idx(tmp_path / "nowhere" / "a", np.zeros(1, np.uint8))
    assert [*tmp_path.iterdir()] == []
