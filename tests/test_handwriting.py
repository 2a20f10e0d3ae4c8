"""load_digit: whatever the picture, the same digit in the same frame."""

import importlib.util
import io
import os
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image, ImageCms, ImageOps

from mnist_lesson import _picture, load_mnist
from mnist_lesson.handwriting import HandwritingError, framing_steps, load_digit
from tools import soak

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


@pytest.mark.parametrize("ink", ["dark", "light"])
@pytest.mark.parametrize("margin", [0, 2, 5])
@pytest.mark.parametrize("scale", [1, 3, 8])
def test_cut_out_tightly(scale, margin, ink):
    """What a bounding box gives: thick pens that fill it, an upright 1, bars of 7s."""
    digits = load_mnist(source="sample").test.images[:100]
    likenesses = []
    for digit in digits:
        picture = Image.fromarray(digit)
        picture = picture.crop(picture.getbbox())
        size = [scale * side for side in picture.size]
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        picture = ImageOps.expand(picture, margin, 0)
        if ink == "dark":
            picture = ImageOps.invert(picture)
        try:
            likenesses.append(likeness(load_digit(picture), digit))
        except HandwritingError:
            likenesses.append(0)
    likenesses = np.array(likenesses)
    assert (likenesses == 0).sum() <= 2
    assert (likenesses > 0.8).sum() >= 97


@pytest.mark.parametrize("alpha", [255, 128, 100, 30])
@pytest.mark.parametrize("ink", [(255, 255, 255), (0, 0, 0), (220, 20, 60)])
@pytest.mark.parametrize("kind", ["with a margin", "cut out", "a thick 1"])
def test_ink_of_any_transparency(ink, alpha, kind):
    cover = 255 - PLAIN
    if kind == "a thick 1":
        cover = np.zeros((60, 20), np.uint8)
        cover[1:-1, 2:-2] = 255
    image = Image.new("RGBA", cover.shape[::-1], (*ink, 0))
    image.putalpha(Image.fromarray((cover * (alpha / 255)).astype(np.uint8)))
    if kind == "cut out":
        image = image.crop(image.getbbox())
    frame = load_digit(image)
    if kind == "a thick 1":
        rows, columns = frame.nonzero()
        assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 < 12
    else:
        assert likeness(frame, FRAME) > 0.93


def test_a_rounded_corner_is_no_ink():
    """A picture that is opaque but for its corners has its own paper."""
    image = MODES["chalk on green"]().convert("RGBA")
    mask = Image.new("L", image.size, 255)
    mask.paste(0, (0, 0, 15, 15))
    image.putalpha(mask)
    assert likeness(load_digit(image), FRAME) > 0.93


def test_dust_is_no_digit():
    page = np.full((300, 300), 255, np.uint8)
    page[20::12, 20::12] = 0
    with pytest.raises(HandwritingError, match="shows no digit"):
        load_digit(Image.fromarray(page))


@pytest.mark.parametrize("sides", ["top", "left and bottom", "three"])
def test_a_desk_on_some_sides(sides):
    """A page's edge, with a dark desk beyond it, enters along the border."""
    page = np.where(PLAIN < 128, 50, 225).astype(np.uint8)
    pads = {
        "top": ((25, 0), (0, 0)),
        "left and bottom": ((0, 25), (25, 0)),
        "three": ((25, 0), (25, 25)),
    }
    picture = Image.fromarray(np.pad(page, pads[sides], constant_values=60))
    assert likeness(load_digit(picture), FRAME) > 0.9


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


@pytest.mark.parametrize("side", [5_100, 9_500, 30_000])
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


FORMATS = {
    "PNG": {},
    "JPEG": {},
    "JPEG, progressive": {"progressive": True},
    "MPO": {"save_all": True, "append_images": [Image.new("L", (60, 60))]},
    "GIF": {"save_all": True, "append_images": [Image.new("L", PLAIN.shape)]},
    "BMP": {},
    "TIFF": {},
    "TIFF, LZW": {"compression": "tiff_lzw"},
    "TIFF, two": {"save_all": True, "append_images": [Image.new("L", (60, 60))]},
    "PPM": {},
    "WEBP": {},
    "WEBP, lossless": {"lossless": True},
    "AVIF": {},
}


def saved(image, name, **options):
    file = io.BytesIO()
    try:
        image.save(file, name.split(",")[0], **FORMATS.get(name, {}), **options)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {name}")
    file.seek(0)
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name):
    image = Image.fromarray(PLAIN)
    if name not in ("PNG", "GIF", "PPM"):  # these as colour pictures
        image = image.convert("RGB")
    file = saved(image, name)
    assert likeness(load_digit(file), FRAME) > 0.98
    # The same from an image that is open, but not decoded yet.
    assert likeness(load_digit(Image.open(file)), FRAME) > 0.98


@pytest.mark.parametrize("name", ["EPS", "ICO", "JPEG2000", "PCX", "SGI", "TGA"])
def test_other_formats_start_no_program(tmp_path, monkeypatch, name):
    # Pillow asks once whether there is a Ghostscript: let it ask again.
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None, raising=False)
    started = soak.watch()
    started.clear()
    path = tmp_path / "five.png"  # whatever it is called
    path.write_bytes(saved(Image.fromarray(PLAIN).convert("RGB"), name).getvalue())
    for make in (lambda: path, lambda: path.open("rb"), lambda: Image.open(path)):
        with pytest.raises(HandwritingError, match=r"none of PNG, JPEG, .*as PNG"):
            load_digit(make())
    assert not started
    if name != "EPS":  # what somebody decoded is but pixels
        with Image.open(path) as image:
            assert likeness(load_digit(image.convert("L")), FRAME) > 0.9


def test_the_programs_that_are_started_are_seen():
    started = soak.watch()
    started.clear()
    subprocess.run([sys.executable, "-c", ""])
    assert len(started) == 1 and "subprocess.Popen" in started[0]


def lab():
    profiles = [ImageCms.createProfile(space) for space in ("sRGB", "LAB")]
    transform = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    return ImageCms.applyTransform(Image.fromarray(PLAIN).convert("RGB"), transform)


def with_values(value):
    pixels = PLAIN.astype(np.float32) / 255
    pixels[:9] = value
    return Image.fromarray(pixels)


ODD = {
    "LAB": lab,
    "YCbCr": lambda: Image.fromarray(PLAIN).convert("RGB").convert("YCbCr"),
    "RGBX": lambda: Image.fromarray(PLAIN).convert("RGB").convert("RGBX"),
    "La": lambda: transparent((0, 0, 0), "LA").convert("La"),
    "RGBa": lambda: transparent((0, 0, 0)).convert("RGBa"),
    "PA": lambda: Image.fromarray(PLAIN).convert("P").convert("PA"),
    "I;16B": lambda: Image.frombytes(
        "I;16B", PLAIN.shape, (PLAIN * np.uint16(200)).astype(">u2").tobytes()
    ),
    "F, NaN": lambda: with_values(np.nan),
    "F, infinite": lambda: with_values(np.inf),
    "F, minus infinity": lambda: with_values(-np.inf),
    "F, large": lambda: Image.fromarray((PLAIN / 127.5 - 1).astype("f4") * 2e38),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("error")
def test_odd_modes(kind):
    assert likeness(load_digit(ODD[kind]()), FRAME) > 0.9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -3e38, 1e-45])
def test_odd_values_show_no_digit(value):
    with pytest.raises(HandwritingError, match="shows no digit"):
        load_digit(Image.fromarray(np.full((60, 60), value, np.float32)))


def noisy(kind):
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 256, (150, 130, 4), np.uint8)
    if kind == "mostly opaque":
        levels[..., 3] = rng.choice([90, 128, 255], (150, 130), p=[0.4, 0.3, 0.3])
    elif kind == "mostly clear":
        levels[..., 3] = rng.choice([0, 127, 255], (150, 130))
    elif kind == "16 bits":
        return Image.fromarray(levels[..., 0].astype(np.uint16) * 250)
    elif kind == "floats":
        return Image.fromarray(levels[..., 0].astype(np.float32) / 7 - 9)
    else:
        return Image.fromarray(levels[..., :3])
    return Image.fromarray(levels)


def grey_at_once(image):
    """The same as the package's strips, of the whole picture and in NumPy."""
    levels = np.asarray(image).astype(float)
    if levels.ndim == 2:
        levels = levels - min(0, levels.min())
        return levels * 255 / levels.max()
    if levels.shape[2] == 4:
        opaque = levels[..., 3] > 127
        if opaque.mean() > 0.5:
            paper = np.median(levels[opaque][:, :3], axis=0).astype(int)
        else:
            paper = 255 * (levels[opaque][:, :3].mean() < 128)
        cover = levels[..., 3:] / 255
        levels = cover * levels[..., :3] + (1 - cover) * paper
    return levels.mean(2)


@pytest.mark.parametrize(
    "kind", ["mostly opaque", "mostly clear", "16 bits", "floats", "colours"]
)
def test_strips_give_the_whole(monkeypatch, kind):
    image = noisy(kind)
    greys = []
    for rows in (1, 7, 150, 1000):
        monkeypatch.setattr(_picture, "STRIP", rows)
        greys.append(_picture.read_grey(image))
    assert all((grey == greys[0]).all() for grey in greys)
    assert np.abs(grey_at_once(image) - greys[0]).max() < 1.5


def large(megapixels, mode="L"):
    side = round((1_000_000 * megapixels) ** 0.5)
    return Image.fromarray(PLAIN).convert(mode).resize((side, side))


def test_a_phone_s_photo_of_50_million_pixels_is_read():
    photo = saved(large(49.9), "JPEG")
    assert likeness(load_digit(photo), FRAME) > 0.95


@pytest.mark.parametrize(
    "megapixels, name, most",
    [(51, "JPEG", 50), (26, "JPEG, progressive", 25), (13.5, "WEBP, lossless", 13)],
)
def test_what_would_take_too_much_memory_is_refused(megapixels, name, most):
    file = saved(large(megapixels), name, **({"method": 0} if "WEBP" in name else {}))
    for picture in (file, Image.open(file)):
        with pytest.raises(HandwritingError, match=f"more than {most} million pixels"):
            load_digit(picture)


@pytest.mark.parametrize("form", ["P1", "P2", "P5"])
def test_what_would_take_too_long_is_refused(form):
    """Pillow decodes these in Python, a microsecond for each number."""
    most = "\n" if form == "P1" else " 99\n"
    small, much = (f"{form} {n} {n}{most}".encode() for n in (60, 1200))
    with pytest.raises(HandwritingError, match="shows no digit"):
        load_digit(io.BytesIO(small + b"1 " * 60 * 60))
    with pytest.raises(HandwritingError, match="too long to read: save it as PNG"):
        load_digit(io.BytesIO(much + b"1 " * 1200 * 1200))


def closed(opened):
    opened.close()
    return opened


def pipe(data):
    ours, other = os.pipe()
    file = os.fdopen(other, "wb")
    threading.Thread(target=lambda: (file.write(data), file.close())).start()
    return os.fdopen(ours, "rb")


HANDED = {
    "a folder": (lambda path: path.parent, OSError, "is a folder: name one picture"),
    "no name": (lambda path: "", OSError, "is a folder"),
    "an address": (lambda path: "https://a.org/5.png", HandwritingError, "download"),
    "a path of an address": (
        *(lambda path: Path("http://a.org/5.png"), HandwritingError, "download"),
    ),
    "data": (lambda path: "data:image/png;base64,iVBO", HandwritingError, "download"),
    "a drive": (lambda path: "Q:/5.png", OSError, "Q:/5"),
    "text": (lambda path: path.open(), HandwritingError, r'png cannot .* mode "rb"\.'),
    "closed": (lambda path: closed(path.open("rb")), HandwritingError, "png .*closed"),
    "an image, closed": (
        *(lambda path: closed(Image.open(path)), HandwritingError, "picture .*closed"),
    ),
    "written": (
        *(lambda path: open(path.parent / "new", "wb"), HandwritingError, "cannot be"),
    ),
    "a file without a name": (
        *(lambda path: tempfile.TemporaryFile(), HandwritingError, "^the file cannot"),
    ),
    "bytes": (lambda path: path.read_bytes(), TypeError, "bytes .*io.BytesIO"),
    "a tensor": (lambda path: torch.zeros(9, 9), TypeError, "Tensor: .*fromarray"),
    "a class": (lambda path: io.BytesIO, TypeError, "not <class '_io.BytesIO'>"),
    "a list": (lambda path: [path], TypeError, "not list"),
}


@pytest.mark.parametrize("kind", HANDED)
def test_what_is_no_picture_gets_a_sentence(tmp_path, kind):
    make, error, message = HANDED[kind]
    path = tmp_path / "five.png"
    Image.fromarray(PLAIN).save(path)
    with pytest.raises(error, match=message) as raised:
        load_digit(make(path))
    assert "\n" not in str(raised.value)


def read_to_the_end(path):
    file = path.open("rb")
    file.read()
    return file


GOOD = {
    "~": lambda path: f"~/{path.name}",
    "at its end": read_to_the_end,
    "a pipe": lambda path: pipe(path.read_bytes()),
    "unbuffered": lambda path: path.open("rb", buffering=0),
    "a number for a name": lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_ways_to_hand_over_a_picture(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = tmp_path / "five.png"
    Image.fromarray(PLAIN).save(path)
    np.testing.assert_array_equal(load_digit(GOOD[kind](path)), load_digit(path))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_spoils_no_picture(name):
    exif = b"Exif\0\0" + b"MM\0*\0\0\0\x08\xff\xff" + bytes(range(200))
    plain = saved(Image.fromarray(PLAIN), name)
    for damaged in (exif, b"Exif\0\0nothing"):
        np.testing.assert_array_equal(
            load_digit(saved(Image.fromarray(PLAIN), name, exif=damaged)),
            load_digit(plain),
        )


def damaged_tiffs():
    """What libtiff, Pillow's warnings and its log have something to say about."""
    whole = saved(Image.fromarray(PLAIN), "TIFF, LZW").getvalue()
    place = whole.find(struct.pack("<HHI", 277, 3, 1))  # samples per pixel
    yield whole[:8] + bytes(500) + whole[508:]
    yield whole[: place + 8] + b"\x63" + whole[place + 9 :]
    yield whole[:-40]


def test_nothing_is_printed_about_damaged_files(tmp_path):
    for number, data in enumerate(damaged_tiffs()):
        (tmp_path / f"{number}.tiff").write_bytes(data)
    code = """if True:
        import os, pathlib, sys, threading, warnings
        from mnist_lesson import HandwritingError, load_digit
        def read():
            for path in [*pathlib.Path(sys.argv[1]).glob("*.tiff")] * 5:
                try:
                    load_digit(path)
                except HandwritingError as error:
                    pass
        filters = list(warnings.filters)
        sys.setswitchinterval(1e-5)
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert warnings.filters == filters
        os.write(2, b"heard")"""
    done = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", code, tmp_path],
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "heard")


def test_damaged_pictures():
    """200 of them; `make soak` tries 20,000."""
    done = subprocess.run(
        [sys.executable, "tools/soak.py", "--short", "--only", "pictures"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sentences" in done.stdout and "digits" in done.stdout
