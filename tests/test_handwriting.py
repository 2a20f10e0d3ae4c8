"""load_digit: whatever the picture, the same digit in the same frame."""

import importlib.util
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mnist_lesson import load_mnist
from mnist_lesson.handwriting import HandwritingError, framing_steps, load_digit

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location(
    "make_pictures", ROOT / "tools" / "make_pictures.py"
)
pictures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pictures)


def drawing(digit=5, size=200, height=110, pen=10, at=(30, 40), seed=1):
    """Dark on white, uint8 (size, size)."""
    ink = pictures.write(
        digit, np.random.default_rng(seed), height=height, pen=pen, slant=0.1
    )
    page = np.zeros((size, size))
    page[at[0] : at[0] + ink.shape[0], at[1] : at[1] + ink.shape[1]] = ink
    return (255 - 255 * page).astype(np.uint8)


PLAIN = drawing()
FRAME = load_digit(Image.fromarray(PLAIN))


def likeness(a, b):
    """Correlation of two frames, the best over shifts by one pixel."""
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return max(
        np.corrcoef(np.roll(a, shift, (0, 1)).ravel(), b.ravel())[0, 1]
        for shift in shifts
    )


def coloured(ink, paper):
    cover = 1 - PLAIN[..., None] / 255
    return Image.fromarray(
        (np.array(paper) * (1 - cover) + np.array(ink) * cover).astype(np.uint8)
    )


def transparent(ink, mode="RGBA"):
    image = Image.new("RGBA", PLAIN.shape, (*ink, 0))
    image.putalpha(Image.fromarray(255 - PLAIN))
    return image.convert(mode)


def palette_with_transparency():
    image = Image.fromarray((PLAIN < 128).astype(np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 0, 0, 0])
    image.info["transparency"] = 0
    return image


def as_jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    file.seek(0)
    return file


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rotate by 270 degrees to see it
    return as_jpeg(Image.fromarray(PLAIN).rotate(90, expand=True), exif=exif)


def lit(slope, noise=0.0, quality=70, corner=0.0):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: len(PLAIN), : len(PLAIN)] / len(PLAIN)
    light = (1 - slope * (x + y) / 2) * np.where(x + y > 1.6, 1 - corner, 1)
    page = np.where(PLAIN < 128, 0.25, 0.9) * light + noise * rng.normal(size=x.shape)
    return as_jpeg(
        Image.fromarray((255 * np.clip(page, 0, 1)).astype(np.uint8)), quality=quality
    )


def on_lines(ink=40, rule=30, squares=True):
    page = np.full(PLAIN.shape, 235, np.uint8)
    page[10::rule] = page[11::rule] = 150
    if squares:
        page[:, 5::rule] = page[:, 6::rule] = 150
    page[PLAIN < 128] = ink
    return Image.fromarray(page)


def on_a_desk():
    page = np.full((260, 280), 60, np.uint8)
    page[20:220, 25:225] = np.where(PLAIN < 128, 50, 225)
    return Image.fromarray(page)


def with_dirt():
    page = PLAIN.copy()
    for y, x in ((5, 5), (190, 20), (180, 185), (15, 150)):
        page[y : y + 3, x : x + 3] = 60
    return Image.fromarray(page)


MODES = {
    "1": lambda: Image.fromarray(PLAIN).convert("1", dither=Image.Dither.NONE),
    "RGB": lambda: Image.fromarray(PLAIN).convert("RGB"),
    "P": lambda: Image.fromarray(PLAIN).convert("RGB").quantize(16),
    "P, transparent": palette_with_transparency,
    "CMYK": lambda: Image.fromarray(PLAIN).convert("RGB").convert("CMYK"),
    "HSV": lambda: Image.fromarray(PLAIN).convert("RGB").convert("HSV"),
    "I;16": lambda: Image.fromarray(PLAIN.astype(np.uint16) * 257),
    "I": lambda: Image.fromarray(PLAIN.astype(np.int32) * 1000),
    "F, 0 to 1": lambda: Image.fromarray(PLAIN.astype(np.float32) / 255),
    "F, -1 to 1": lambda: Image.fromarray(PLAIN.astype(np.float32) / 127.5 - 1),
    "LA, black": lambda: transparent((0, 0, 0), "LA"),
    "LA, white": lambda: transparent((255, 255, 255), "LA"),
    "RGBA, black": lambda: transparent((0, 0, 0)),
    "RGBA, white": lambda: transparent((255, 255, 255)),
    "RGBA, opaque": lambda: Image.fromarray(PLAIN).convert("RGBA"),
    "white on black": lambda: ImageOps.invert(Image.fromarray(PLAIN)),
    "yellow on white": lambda: coloured((255, 225, 0), (255, 255, 255)),
    "blue on black": lambda: coloured((30, 30, 255), (0, 0, 0)),
    "chalk on green": lambda: coloured((230, 230, 220), (20, 70, 40)),
    "pencil": lambda: coloured((190, 190, 190), (235, 235, 230)),
    "EXIF": turned,
    "gradient": lambda: lit(0.7),
    "noise": lambda: lit(0.3, noise=0.03, quality=50),
    "shadow": lambda: lit(0.2, corner=0.5),
    "dirt": with_dirt,
    "desk": on_a_desk,
    "ruled": lambda: on_lines(squares=False),
    "squared": on_lines,
    "pencil on squares": lambda: on_lines(ink=130),
    "reduced": lambda: Image.fromarray(PLAIN).reduce(3),
    "12 million pixels": lambda: Image.fromarray(PLAIN).resize((3500, 3500)),
}


@pytest.mark.parametrize("kind", MODES)
def test_every_kind_of_picture_gives_the_frame_of_the_plain_one(kind):
    assert likeness(load_digit(MODES[kind]()), FRAME) > 0.93


@pytest.mark.parametrize("pen", [2, 4, 8, 14, 20])
@pytest.mark.parametrize("digit", range(10))
def test_geometry(digit, pen):
    page = drawing(digit, size=320, height=150, pen=pen, at=(60, 10), seed=digit)
    frame = load_digit(Image.fromarray(page))
    assert frame.shape == (28, 28) and frame.dtype == np.uint8
    assert frame.max() > 240
    inked = frame > 0
    assert max(inked.any(0).sum(), inked.any(1).sum()) == 20
    # MNIST's own centres of mass lie within half a pixel of (14, 14).
    centre = (np.indices(frame.shape) * frame).sum((1, 2)) / frame.sum()
    assert np.abs(centre - 14).max() <= 0.5 + 1e-6
    # … and its strokes are two to four pixels wide: 38 to 199 white pixels in all.
    assert 25 < frame.sum() / 255 < 200


def test_mnist_comes_back_nearly_unchanged():
    images = load_mnist(source="sample").test.images[::10]
    likenesses = []
    for image in images:
        for picture in (image, 255 - image):
            try:
                likenesses.append(likeness(load_digit(Image.fromarray(picture)), image))
            except HandwritingError:  # a digit in pieces may look like two
                likenesses.append(0)
    likenesses = np.array(likenesses)
    assert (likenesses > 0.9).mean() > 0.97
    assert np.median(likenesses) > 0.98


def test_a_digit_in_two_strokes_is_one_digit():
    page = drawing(5)
    page[52:56] = 255  # part the bar from the body
    assert likeness(load_digit(Image.fromarray(page)), FRAME) > 0.85


def test_a_tight_crop_may_touch_the_border():
    rows, columns = np.nonzero(PLAIN < 128)
    crop = PLAIN[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert likeness(load_digit(Image.fromarray(crop)), FRAME) > 0.9


def side_by_side(gap=40):
    page = np.full((200, 500), 255, np.uint8)
    page[:, :200] = drawing(1, at=(40, 40))
    page[:, 60 + gap : 260 + gap] &= drawing(7, at=(40, 20))
    return Image.fromarray(page)


def noise(strength, slope=0.0, lines=False):
    rng = np.random.default_rng(0)
    page = pictures.paper((300, 400), rng, rule=40 * lines, squares=lines)
    light = pictures.light(page.shape[:2], rng, slope=slope)
    return pictures.photograph(page * light[..., None], rng, noise=strength)


UNFIT = {
    "blank": (lambda: Image.new("L", (300, 200), 255), "shows no digit"),
    "black": (lambda: Image.new("L", (300, 200), 0), "shows no digit"),
    "transparent": (lambda: Image.new("RGBA", (300, 200)), "shows no digit"),
    "noisy": (lambda: noise(0.02), "shows no digit"),
    "unevenly lit": (lambda: noise(0.02, slope=0.6), "shows no digit"),
    "ruled": (lambda: noise(0.01, slope=0.3, lines=True), "shows no digit"),
    "17": (side_by_side, "more than one digit"),
    "1 7": (lambda: side_by_side(120), "more than one digit"),
    "1x1": (lambda: Image.new("L", (1, 1)), "only 1x1 pixels"),
    "huge": (lambda: Image.new("1", (10_000, 9_000)), "million pixels"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_cannot_be_framed_says_why(kind):
    make, message = UNFIT[kind]
    with pytest.raises(HandwritingError, match=message) as error:
        load_digit(make())
    assert str(error.value).startswith("the picture ")
    assert str(error.value).count(".") == 1 and str(error.value).endswith(".")


@pytest.mark.parametrize("side", [9_500, 30_000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    Image.new("1", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", side, side)  # the size that the header claims
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(HandwritingError, match=r"bomb\.png has more than"):
            load_digit(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "empty", "text"])
def test_a_damaged_file_is_named(tmp_path, kind):
    path = tmp_path / f"digit.{kind}"
    if kind in ("JPEG", "PNG"):
        noise(0.02).save(path, kind)
        path.write_bytes(path.read_bytes()[:3000])
    else:
        path.write_text("" if kind == "empty" else "not a picture", "utf-8")
    for file in (path, str(path), path.open("rb")):
        with pytest.raises(HandwritingError, match=f"digit.{kind} cannot be read"):
            load_digit(file)


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_digit(tmp_path / "missing.png")
    for wrong in (None, 3, PLAIN, b"bytes"):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            load_digit(wrong)
    with pytest.raises(HandwritingError, match="the file cannot be read"):
        load_digit(io.StringIO("text"))


def test_paths_files_and_images_agree_and_stay_as_they_were(tmp_path):
    path = tmp_path / "five.jpg"
    page = Image.fromarray(PLAIN).resize((1700, 1700))
    page.save(path, quality=90)
    frame = load_digit(path)
    np.testing.assert_array_equal(frame, load_digit(str(path)))
    with path.open("rb") as file:
        np.testing.assert_array_equal(frame, load_digit(file))
        assert not file.closed
    with Image.open(path) as image:
        assert likeness(load_digit(image), frame) > 0.99
        assert image.size == (1700, 1700)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(path)))
    for kind, make in MODES.items():
        image = None if "million" in kind else make()
        if isinstance(image, Image.Image):
            before, info = image.tobytes(), dict(image.info)
            load_digit(image)
            assert (image.tobytes(), image.info) == (before, info)


def test_steps_end_in_the_frame():
    steps = framing_steps(Image.fromarray(PLAIN))
    assert list(steps) == ["grey", "ink", "marks", "strokes", "digit", "frame"]
    np.testing.assert_array_equal(steps["frame"], FRAME)
    assert not (steps["digit"] & ~steps["strokes"]).any()
    assert not (steps["strokes"] & ~steps["marks"]).any()
    assert len({steps[name].shape for name in list(steps)[:-1]}) == 1


@pytest.mark.parametrize(
    "name, digit",
    [("three.jpg", 3), ("five.jpg", 5), ("eight.jpg", 8), ("seven.png", 7)],
)
def test_the_pictures_that_come_with_the_package(name, digit):
    frame = load_digit(ROOT / "mnist_lesson" / "pictures" / name)
    # The nearest of the virtual pen's ten digits is the one that was written.
    likenesses = [
        likeness(frame, load_digit(Image.fromarray(drawing(d, size=240, height=140))))
        for d in range(10)
    ]
    assert np.argmax(likenesses) == digit


@pytest.mark.parametrize("pen", [1, 2])
def test_a_thread_drawn_large_is_framed(pen):
    """Shrunk to 20 pixels it is paler than half of its ink."""
    page = np.full((800, 800), 255, np.uint8)
    page[50:750, 400 : 400 + pen] = 0
    frame = load_digit(Image.fromarray(page))
    rows, columns = frame.nonzero()
    assert np.ptp(rows) + 1 in (20, 21) and np.ptp(columns) < 6 and frame.max() == 255


@pytest.mark.parametrize("size", [(10_000, 2), (2, 10_000)])
def test_a_strip_of_nothing_shows_no_digit(size):
    with pytest.raises(HandwritingError, match="shows no digit"):
        load_digit(Image.new("L", size, 255))
