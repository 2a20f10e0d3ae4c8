import gzip
import itertools
import math
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
import torch

from mnist_lesson import IdxError, read_idx, write_idx

FORMATS = {
    "uint8": (0x08, "B"),
    "int8": (0x09, "b"),
    "int16": (0x0B, "h"),
    "int32": (0x0C, "i"),
    "float32": (0x0D, "f"),
    "float64": (0x0E, "d"),
}


def by_hand(name, shape, elements):
    """The bytes of an IDX file, from the format's description and struct alone."""
    code, letter = FORMATS[name]
    header = struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
    return header + struct.pack(f">{len(elements)}{letter}", *elements)


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
def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_idx(f"~/{name}", np.uint8([1, 2]))
    assert read_idx(f"~/{name}").tolist() == [1, 2]
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == ("." in name)


def test_reads_several_gzip_members(tmp_path):
    content = by_hand("uint8", (4,), [1, 2, 3, 4])
    path = tmp_path / "members.gz"
    path.write_bytes(gzip.compress(content[:9]) + gzip.compress(content[9:]))
    assert read_idx(path).tolist() == [1, 2, 3, 4]


def test_writes_any_memory_layout_and_byte_order(tmp_path):
    array = np.arange(24, dtype=">i4").reshape(2, 3, 4)[:, ::-1].T
    write_idx(tmp_path / "a", array)
    assert np.array_equal(read_idx(tmp_path / "a"), array)


def test_writes_tensors_and_lists_of_arrays(tmp_path):
    tensor = torch.arange(6.0, requires_grad=True).reshape(2, 3)
    rows = [np.float32([0, 1, 2]), np.float32([3, 4, 5])]
    for given in tensor, tensor.to_sparse(), tensor.flip(0).flip(0), rows:
        write_idx(tmp_path / "a", given)
        assert read_idx(tmp_path / "a").tolist() == [[0, 1, 2], [3, 4, 5]]
    write_idx(tmp_path / "a", torch.tensor(3, dtype=torch.uint8))
    assert read_idx(tmp_path / "a").shape == ()


GOOD = by_hand("uint8", (2, 3), [1, 2, 3, 4, 5, 6])
DAMAGED = {
    "empty": (b"", "empty"),
    "magic": (b"PK\x03\x04" + GOOD, "starts with two zero bytes.*50 4b 03 04"),
    "short magic": (b"\0\0", "starts with two zero bytes"),
    "type": (b"\0\0\x0a\x01" + GOOD, "element types 0x08.*found 0x0a"),
    "sizes cut": (GOOD[:7], "2 sizes of 4 bytes each.*after 3"),
    "truncated": (GOOD[:-1], "expected 6 bytes.*2 x 3.*found 5"),
    "trailing": (GOOD + b"!", "expected 6 bytes.*2 x 3.*found (7|more)"),
    "impossible": (
        struct.pack(">BBBBII", 0, 0, 8, 2, 2**31, 2**31) + b"few",
        "expected 4,611,686,018,427,387,904 bytes.*found 3",
    ),
    "impossible in 64 bits": (
        struct.pack(">BBBB4I", 0, 0, 14, 4, *[2**32 - 1] * 4),
        "expected 2,722,.*found 0",
    ),
    "huge but zero": (
        struct.pack(">BBBB4I", 0, 0, 14, 4, 0, *[2**32 - 1] * 3),
        "sizes that NumPy can hold",
    ),
    "too many dimensions": (
        struct.pack(">BBBB80IB", 0, 0, 8, 80, *[1] * 80, 7),
        "80 dimensions",
    ),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("what", DAMAGED)
def test_names_what_is_wrong(tmp_path, what, zipped):
    content, message = DAMAGED[what]
    path = tmp_path / "digits-idx"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(IdxError, match=f"digits-idx: .*{message}") as caught:
        read_idx(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [5, 15, 25, -9, -1])
def test_gzip_cut_short(tmp_path, cut):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(GOOD * 3)[:cut])
    with pytest.raises(IdxError, match=r"cut.gz: .*(cut short|found)"):
        read_idx(path)


def test_gzip_damaged(tmp_path):
    path = tmp_path / "damaged.gz"
    content = bytearray(gzip.compress(GOOD))
    content[-6] ^= 1  # in the checksum
    path.write_bytes(content)
    with pytest.raises(IdxError, match=r"damaged.gz: .*damaged"):
        read_idx(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_promises_take_no_memory(tmp_path, zipped):
    """A header that promises 3 GB is refused in a process that may not have them."""
    resource = pytest.importorskip("resource")
    if sys.platform != "linux":
        pytest.skip("limits of memory are set in Linux's way")
    content = struct.pack(">BBBBII", 0, 0, 8, 2, 3, 2**30) + bytes(1000)
    path = tmp_path / "liar"
    path.write_bytes(gzip.compress(content) if zipped else content)
    code = (
        "import resource, sys, numpy, mnist_lesson\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * "
        f"{resource.getpagesize()}\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))\n"
        "try: mnist_lesson.read_idx(sys.argv[1])\n"
        "except mnist_lesson.IdxError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "expected 3,221,225,472 bytes" in done.stdout


@pytest.mark.parametrize("promised", [6, 2**32 - 1])
def test_a_bomb_takes_neither_memory_nor_time(tmp_path, promised):
    """A gzip file of 200 KB that holds 200 MB of zeros, of which few are promised."""
    path = tmp_path / "bomb"
    header = struct.pack(">BBBBI", 0, 0, 8, 1, promised)
    zeros = gzip.compress(bytes(10_000_000)) * 20
    path.write_bytes(gzip.compress(header) + zeros)
    tracemalloc.start()
    with pytest.raises(IdxError, match=f"expected {promised:,} bytes.*found"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (10_000_000 if promised == 6 else 300_000_000)


def mutations(seed):
    """Give files without an end: whole ones with a little that is wrong, or nothing."""
    rng = random.Random(seed)
    while True:
        name = rng.choice(list(FORMATS))
        shape = [rng.randrange(5) for _ in range(rng.randrange(4))]
        content = bytearray(by_hand(name, shape, range(int(np.prod(shape)))))
        for _ in range(rng.randrange(3)):
            mutate(rng, content)
        if rng.random() < 0.5:
            if rng.random() < 0.1:
                content += bytes(rng.randrange(200_000))
            content = bytearray(gzip.compress(content, rng.randrange(10)))
            for _ in range(rng.randrange(3)):
                mutate(rng, content)
        yield bytes(content)


def mutate(rng, content):
    """Change one thing in place."""
    place = rng.randrange(len(content) + 1)
    match rng.randrange(6):
        case 0:  # one bit
            for byte in content[place : place + 1]:
                content[place] = byte ^ 1 << rng.randrange(8)
        case 1:  # one byte of the header, where it hurts
            content[rng.randrange(20) : place] = rng.randbytes(1)
        case 2:
            del content[place:]
        case 3:  # a size, often a huge one
            start = 4 * rng.randrange(4)
            content[start : start + 4] = rng.choice([b"\xff" * 4, rng.randbytes(4)])
        case 4:
            content[place:place] = rng.randbytes(rng.randrange(9))
        case 5:  # a part once more
            content[place:place] = content[rng.randrange(place + 1) : place]


def expected(content):
    """Give type, shape and bytes by the format's description, or None if it's none."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return None
    if len(content) < 4 or content[:2] != b"\0\0":
        return None
    code, dimensions = content[2:4]
    names = [name for name, (known, _) in FORMATS.items() if known == code]
    start = 4 + 4 * dimensions
    if not names or len(content) < start:
        return None
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if math.prod(shape) * struct.calcsize(FORMATS[names[0]][1]) != len(content) - start:
        return None
    try:
        np.empty(shape, names[0])
    except ValueError:  # more than NumPy can hold, though none of it is there
        return None
    return names[0], shape, content[start:]


def test_whatever_is_wrong_an_array_or_one_sentence(tmp_path):
    path, arrays = tmp_path / "file", 0
    for content in itertools.islice(mutations(seed=0), 3000):
        path.write_bytes(content)
        right = expected(content)
        try:
            array = read_idx(path)
        except IdxError as error:
            assert right is None, content
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert array.dtype.isnative and array.flags.writeable
            in_file = array.astype(array.dtype.newbyteorder(">")).tobytes()
            assert (array.dtype.name, array.shape, in_file) == right
            arrays += 1
    assert 300 < arrays < 2700


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "dtype", ["int64", "bool", "float16", "uint16", "complex64", "U3"]
)
def test_refuses_types_that_idx_lacks(tmp_path, dtype):
    path = tmp_path / "labels"
    path.write_bytes(GOOD)
    with pytest.raises(IdxError, match=r"labels: .*no element type.*astype.*uint8"):
        write_idx(path, np.zeros(3, dtype))
    assert path.read_bytes() == GOOD  # what was there is still there


def test_equal_arrays_make_equal_files(tmp_path):
    for name in "a.gz", "b.gz":
        write_idx(tmp_path / name, np.arange(9, dtype=np.uint8))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(FileNotFoundError, match="make the folder"):
        write_idx(tmp_path / "missing" / "a", np.zeros(1, np.uint8))
    assert list(tmp_path.iterdir()) == []
