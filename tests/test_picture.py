"""Pictures, however they are handed over: read, or refused in a sentence."""

import builtins
import io
import os
import shutil
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from test_handwriting import GREY, PLAIN, likeness, saved

from mnist_lesson.handwriting import HandwritingError, load_digit


def after(file, method):
    getattr(file, method)()
    return file


def pipe(data):
    ours, other = os.pipe()
    file = os.fdopen(other, "wb")
    threading.Thread(target=lambda: (file.write(data), file.close())).start()
    return os.fdopen(ours, "rb")


HANDED = [  # what is made of the path five.png, the error, and its message
    (lambda path: path.parent / "6.png", FileNotFoundError, "6.png"),
    (lambda path: path.parent, OSError, "is a folder: name one picture"),
    (lambda path: "https://a.org/5.png", HandwritingError, "download"),
    (lambda path: Path("http://a.org/5.png"), HandwritingError, "download"),
    (lambda path: "data:image/png;base64,iVBO", HandwritingError, "download"),
    (lambda path: "Q:/5.png", OSError, "Q:/5"),
    (lambda path: "C:\0.png", HandwritingError, "cannot be the name of a file"),
    (
        lambda path: shutil.copy(__file__, path.with_name("enclosed.png")),
        HandwritingError,
        r"enclosed\.png cannot be read: it is damaged",
    ),
    (lambda path: path.open(), HandwritingError, r'png cannot .* mode "rb"\.'),
    (lambda path: io.StringIO("text"), HandwritingError, "the file cannot be read"),
    (lambda path: after(path.open("rb"), "close"), HandwritingError, "png .*closed"),
    (lambda path: after(Image.open(path), "close"), HandwritingError, "e .*closed"),
    (lambda path: path.open("ab"), HandwritingError, "png cannot be read"),
    (
        lambda path: __file__,
        HandwritingError,
        r"picture\.py cannot be read: it is damaged",
    ),
    (lambda path: io.BytesIO(path.read_bytes()[:2000]), HandwritingError, "the file "),
    (lambda path: path.read_bytes(), TypeError, "bytes: .*io.BytesIO"),
    (lambda path: PLAIN, TypeError, "ndarray: .*fromarray"),
    (lambda path: io.BytesIO, TypeError, "not <class '_io.BytesIO'>"),
    (lambda path: None, TypeError, "not NoneType"),
]


def test_a_name_that_windows_cannot_have(monkeypatch):
    """In "C:\\digits\\7.png", "\\7" is one character; and cmd leaves *.png as it is."""

    def refuse(name, *_):
        raise OSError(22, "Invalid argument", name)

    with monkeypatch.context() as windows:
        windows.setattr(builtins, "open", refuse)
        with pytest.raises(
            HandwritingError, match=r"^\*\.png cannot be the na"
        ) as error:
            load_digit("*.png")
    assert r'the name as r"C:\folder\7.png".' in str(error.value)


@pytest.mark.parametrize("make, error, message", HANDED)
def test_what_is_no_picture_gets_a_sentence(tmp_path, make, error, message):
    GREY.save(tmp_path / "five.png")
    with pytest.raises(error, match=message) as raised:
        load_digit(make(tmp_path / "five.png"))
    assert "\n" not in str(raised.value)


GOOD = [
    str,
    Image.open,
    lambda path: f"~/{path.name}",
    lambda path: path.open("rb"),
    lambda path: after(path.open("rb"), "read"),  # it is at its end
    lambda path: path.open("rb", buffering=0),
    lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb"),  # its name is a number
    lambda path: pipe(path.read_bytes()),
]


@pytest.mark.parametrize("hand_over", GOOD)
def test_ways_to_hand_over_a_picture(tmp_path, monkeypatch, hand_over):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = tmp_path / "five.jpg"
    GREY.resize((1700, 1700)).save(path)
    picture = hand_over(path)
    assert likeness(load_digit(picture), load_digit(path)) > 0.99
    assert not getattr(picture, "closed", False)
    assert getattr(picture, "size", (1700, 1700)) == (1700, 1700)


IN_THREADS = """
import os, pathlib, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from mnist_lesson import load_digit
filters = list(warnings.filters)
sys.setswitchinterval(1e-5)
with ThreadPoolExecutor(4) as pool:
    paths = [*pathlib.Path(sys.argv[1]).iterdir()] * 20
    done = [*map(partial(pool.submit, load_digit), paths)]
kinds = {type(future.exception()).__name__ for future in done}
assert kinds == {"NoneType", "HandwritingError"}, kinds
assert warnings.filters == filters
os.write(2, b"heard")
"""


def test_nothing_is_printed_about_damaged_files(tmp_path):
    """Though libtiff, Pillow's warnings and its log have something to say."""
    whole = saved(GREY, "TIFF", compression="tiff_lzw").getvalue()
    place = whole.find(struct.pack("<HHI", 277, 3, 1)) + 8  # samples per pixel
    (tmp_path / "whole.tiff").write_bytes(whole)
    (tmp_path / "hole.tiff").write_bytes(whole[:8] + bytes(500) + whole[508:])
    (tmp_path / "cut.tiff").write_bytes(whole[:-40])
    (tmp_path / "99.tiff").write_bytes(whole[:place] + b"c" + whole[place + 1 :])
    command = [sys.executable, "-W", "always::UserWarning", "-c", IN_THREADS, tmp_path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert (done.stdout, done.stderr) == ("", "heard")
