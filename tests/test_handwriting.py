"""load_digit: whatever the picture, the same digit in the same frame."""

import io
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageDraw, ImageOps

from mnist_lesson import example_picture, load_mnist
from mnist_lesson.handwriting import HandwritingError, framing_steps, load_digit

SAMPLE = load_mnist(source="sample").test
FIVE = SAMPLE.images[SAMPLE.labels == 5][3]  # any one that is in one piece


def drawing(digit=FIVE, size=200, side=154, at=(30, 10)):
    """Enlarge one of MNIST's digits: dark on white, uint8 (size, size)."""
    page = Image.new("L", (size, size), 255)
    ink = Image.fromarray(255 - digit).resize((side, side), Image.Resampling.BICUBIC)
    page.paste(ink, at)
    return np.asarray(page)


CIRCLE = [(0.3 + 0.3 * np.sin(t), 0.5 + 0.5 * np.cos(t)) for t in range(8)]
SHAPES = {0: CIRCLE, 1: [(0, 0), (0, 1)], 7: [(0, 0), (0.5, 0), (0.2, 1)]}


def stroke(digit, height, pen, size, left=50):
    """Draw a digit with a pen of one width: dark on white, uint8 (size, size)."""
    page = Image.new("L", (size, size), 255)
    path = np.array(SHAPES[digit]) * height + (left, (size - height) // 2)
    ImageDraw.Draw(page).line(path.ravel().tolist(), 0, pen, joint="curve")
    return np.asarray(page)


def likeness(a, b):
    """Correlation of two frames, the best over shifts by one pixel."""
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    moved = [np.roll(a, shift, (0, 1)).ravel() for shift in shifts]
    return np.corrcoef(b.ravel(), moved)[0, 1:].max()


PLAIN = drawing()
GREY = Image.fromarray(PLAIN)
RGB = GREY.convert("RGB")
ODD = np.nan, np.inf, -np.inf, -3e38, 1e-45
INKS = "white", "black", "crimson"
INKED = PLAIN < 128
ROWS, COLUMNS = np.indices(PLAIN.shape)


def transparent(ink, alpha=255):
    image = Image.new("RGBA", GREY.size, ink)
    image.putalpha(GREY.point(lambda level: (255 - level) * alpha // 255))
    return image


def photo(ink=0.2, lines="", inked=INKED, slope=0.0, shadow=0.0, noise=0.0):
    """Photograph a page, ruled with lines along - or |, in uneven light."""
    level, upright = "-" in lines, "|" in lines
    ruled = level & (ROWS % 30 // 2 == 5) | upright & (COLUMNS % 30 // 2 == 3)
    page, aslant = np.where(ruled, 0.6, 0.92), (ROWS + COLUMNS) / 200
    light = (1 - slope * aslant / 2) * np.where(aslant > 1.6, 1 - shadow, 1)
    grain = noise * np.random.default_rng(0).normal(size=page.shape)
    levels = np.where(inked, ink, page) * light + grain
    return Image.fromarray((255 * np.clip(levels, 0, 1)).astype(np.uint8))


def cut_out(image):
    return image.crop(image.getbbox())


def floats(levels):
    return Image.fromarray(np.asarray(levels, np.float32))


DIRT, DUST = ((ROWS % n == 8) & (COLUMNS % n == 8) for n in (90, 12))
BODY = ROWS - np.nonzero(INKED)[0].min()  # rows below the upper end of the five
CHALK = ImageOps.colorize(GREY, (230, 230, 220), (20, 70, 40))
PAGE = GREY.point(lambda level: 50 if level < 128 else 225)
DESKS = (25, 20, 30, 40), (0, 25, 0, 0), (25, 0, 0, 25), (25, 25, 25, 0)
MODES = "1", "CMYK", "HSV", "YCbCr", "RGB", "RGBX", "RGBA", "PA"
KINDS = {
    **{mode: RGB.convert(mode, dither=Image.Dither.NONE) for mode in MODES},
    "P": RGB.quantize(16),
    "I;16": Image.fromarray(np.repeat(PLAIN, 2, 0).repeat(2, 1) * np.uint16(257)),
    "I": Image.fromarray(PLAIN.astype(np.int32) * 1000),
    "F, 0 to 1": floats(PLAIN / 255),
    "F, -1 to 1": floats(PLAIN / 127.5 - 1),
    "F, large": floats((PLAIN / 127.5 - 1) * 2e38),
    **{f"F, {n}": floats(np.where(ROWS < 9, n, PLAIN / 255)) for n in ODD[:3]},
    "P, transparent": transparent("black").quantize(16),
    **{f"LA, {ink}": transparent(ink).convert("LA") for ink in INKS},
    **{f"{ink} {n}": transparent(ink, n) for ink in INKS for n in (255, 128, 100, 30)},
    **{f"{ink}, cut": cut_out(transparent(ink, 100)) for ink in INKS},
    "white on black": ImageOps.invert(GREY),
    "yellow on white": ImageOps.colorize(GREY, (255, 225, 0), "white"),
    "blue on black": ImageOps.colorize(GREY, (30, 30, 255), "black"),
    "chalk on green": CHALK,
    "with a clear edge": ImageOps.expand(CHALK.convert("RGBA"), 5),
    "pencil": ImageOps.colorize(GREY, (190, 190, 190), (235, 235, 230)),
    "gradient": photo(slope=0.7),
    "noise": photo(slope=0.3, noise=0.03),
    "shadow": photo(slope=0.2, shadow=0.5),
    "dirt": photo(inked=INKED | DIRT),
    **{f"desk {sides}": ImageOps.expand(PAGE, sides, 60) for sides in DESKS},
    "ruled": photo(lines="-"),
    "squared": photo(lines="-|"),
    "pencil on squares": photo(ink=0.5, lines="-|"),
    "in two strokes": photo(inked=INKED & (BODY // 4 != 7)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_picture_gives_mnists_digit_back(kind):
    image = KINDS[kind]
    before, info = image.tobytes(), dict(image.info)
    assert likeness(load_digit(image), FIVE) > 0.93
    assert (image.tobytes(), image.info) == (before, info)


@pytest.mark.parametrize("ink", ["#fff", "#000", "#fff8", "#0004", "#d143"])
def test_a_thick_1_is_ink_though_it_covers_more_than_half(ink):
    image = ImageOps.expand(Image.new("RGBA", (16, 58), ink), 2)
    rows, columns = load_digit(image).nonzero()
    assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 < 12


@pytest.mark.parametrize("size, height", [(320, 150), (800, 700)])
@pytest.mark.parametrize("pen", [1, 2, 4, 8, 14, 20])
@pytest.mark.parametrize("shape", [0, 1, 7])
def test_geometry(shape, pen, size, height):
    """Also where a thread, shrunk to 20 pixels, is paler than half of its ink."""
    frame = load_digit(Image.fromarray(stroke(shape, height, pen, size)))
    assert frame.shape == (28, 28) and frame.dtype == np.uint8 and frame.max() == 255
    rows, columns = frame.nonzero()
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    # MNIST's own centres of mass lie within half a pixel of (14, 14).
    centre = (np.indices(frame.shape) * frame).sum((1, 2)) / frame.sum()
    assert np.abs(centre - 14).max() <= 0.5 + 1e-6
    # … and its strokes are two to four pixels wide: 38 to 199 white pixels in all.
    assert 25 < frame.sum() / 255 < 200


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("margin", [0, 2, 5])
@pytest.mark.parametrize("scale", [1, 3, 8])
def test_cut_out_tightly(scale, margin, invert):
    """What a bounding box gives: thick pens that fill it, an upright 1, bars of 7s."""
    likenesses = []
    for digit in SAMPLE.images[:100]:
        picture = ImageOps.scale(cut_out(Image.fromarray(digit)), scale)
        picture = ImageOps.expand(picture, margin, 0)
        picture = ImageOps.invert(picture) if invert else picture
        try:
            likenesses.append(likeness(load_digit(picture), digit))
        except HandwritingError:  # a digit in pieces may look like two
            likenesses.append(0)
    likenesses = np.array(likenesses)
    assert (likenesses == 0).sum() <= 2
    assert (likenesses > 0.8).sum() >= 97
    if scale == 1 and margin == 5:  # nearly MNIST's own frame
        assert (likenesses > 0.9).sum() > 97 and np.median(likenesses) > 0.98


def test_the_pictures_that_come_with_the_package():
    """Most of the digits that are most like the frame are what was written."""
    for name, digit in {"three": 3, "five": 5, "seven": 7, "eight": 8}.items():
        frame = load_digit(example_picture(name)).ravel()
        alike = np.corrcoef(frame, SAMPLE.images.reshape(-1, 784))[0, 1:]
        assert np.bincount(SAMPLE.labels[alike.argsort()[-5:]]).argmax() == digit


def test_steps_end_in_the_frame():
    steps = framing_steps(GREY)
    assert list(steps) == ["grey", "ink", "marks", "strokes", "digit", "frame"]
    np.testing.assert_array_equal(steps["frame"], load_digit(GREY))
    assert not (steps["digit"] & ~steps["strokes"]).any()
    assert not (steps["strokes"] & ~steps["marks"]).any()
    assert {steps[name].shape for name in list(steps)[:-1]} == {PLAIN.shape}


ONE, *SEVENS = stroke(1, 110, 10, 300), *(stroke(7, 110, 10, 300, n) for n in (90, 170))
EMPTY = [
    *[Image.new("RGBA", (300, 200), colour) for colour in ("white", "black", "#0000")],
    *[Image.new("L", size, 255) for size in ((10_000, 2), (2, 10_000))],
    *[photo(inked=False, noise=0.02, slope=slope) for slope in (0, 0.6)],
    *[photo(inked=False, noise=0.01, lines="-|"), photo(inked=DUST)],
    *[floats(np.full((60, 60), value)) for value in ODD],
]
UNFIT = [
    *[(image, "shows no digit") for image in EMPTY],
    *[(Image.fromarray(ONE & seven), "more than one digit") for seven in SEVENS],
    (Image.new("L", (1, 1)), "only 1x1 pixels"),
    (Image.new("1", (10_000, 9_000)), "more than 89 million pixels"),
]


@pytest.mark.parametrize("image, message", UNFIT)
@pytest.mark.filterwarnings("error")
def test_what_cannot_be_framed_says_why(image, message):
    with pytest.raises(HandwritingError, match=message) as error:
        load_digit(image)
    assert str(error.value).startswith("the picture ")
    assert str(error.value).count(".") == 1 and str(error.value).endswith(".")


def saved(image, name, **options):
    file = io.BytesIO()
    image.save(file, name, **options)
    file.seek(0)
    return file


Image.init()
AVIF = {"AVIF"} & Image.SAVE.keys()  # not in every Pillow
FORMATS = [
    *[(name, {}) for name in (*"PNG JPEG GIF BMP TIFF PPM WEBP".split(), *AVIF)],
    *[("JPEG", {"progressive": True}), ("WEBP", {"lossless": True})],
    *[(name, {"append_images": [PAGE.reduce(3)]}) for name in ("MPO", "GIF", "TIFF")],
    ("TIFF", {"compression": "tiff_lzw"}),
]


@pytest.mark.parametrize("name, options", FORMATS)
def test_formats(name, options):
    image = GREY if name in ("PNG", "GIF", "PPM") else RGB
    file = saved(image, name, save_all="append_images" in options, **options)
    # The same from an image that is open, but not decoded yet.
    for picture in (file, Image.open(file)):
        assert likeness(load_digit(picture), FIVE) > 0.95


@pytest.mark.parametrize("name", ["EPS", "ICO", "JPEG2000", "PCX", "SGI", "TGA"])
def test_other_formats_start_no_program(tmp_path, monkeypatch, name):
    # Pillow asks once whether there is a Ghostscript: let it ask again.
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None, raising=False)
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *how, **_: started.append(how))
    path = tmp_path / "five.png"  # whatever it is called
    path.write_bytes(saved(RGB, name).getvalue())
    for picture in (path, path.open("rb"), Image.open(path)):
        with pytest.raises(HandwritingError, match=r"none of PNG, JPEG, .*as PNG"):
            load_digit(picture)
    assert not started


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_exif_turns_a_picture_and_spoils_none(name):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rotate by 270 degrees to see it
    aside = saved(GREY.rotate(90, expand=True), name, exif=exif)
    assert likeness(load_digit(aside), FIVE) > 0.95
    plain = load_digit(saved(GREY, name))
    for damaged in (b"MM\0*\0\0\0\x08\xff\xff" + bytes(range(200)), b"nothing"):
        file = saved(GREY, name, exif=b"Exif\0\0" + damaged)
        np.testing.assert_array_equal(load_digit(file), plain)


LARGE = [
    (49.9, "JPEG", {}, ""),
    (51, "JPEG", {}, "has more than 50 million pixels"),
    (26, "JPEG", {"progressive": True}, "has more than 25 million pixels"),
    (13.5, "WEBP", {"lossless": True, "method": 0}, "has more than 13 million pixels"),
]


@pytest.mark.parametrize("megapixels, name, options, message", LARGE)
def test_what_would_take_too_much_memory_is_refused(megapixels, name, options, message):
    side = round((1_000_000 * megapixels) ** 0.5)
    file = saved(GREY.resize((side, side)), name, **options)
    if not message:
        assert likeness(load_digit(file), FIVE) > 0.95
        return
    for picture in (file, Image.open(file)):
        with pytest.raises(HandwritingError, match=message):
            load_digit(picture)


@pytest.mark.parametrize("side", [5_100, 9_500, 30_000])
@pytest.mark.filterwarnings("error")
def test_a_bomb_is_refused_before_it_is_decoded(side):
    data = bytearray(saved(Image.new("1", (8, 8)), "PNG").getvalue())
    data[16:24] = struct.pack(">II", side, side)  # the size that the header claims
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(HandwritingError, match=r"has more than .* million"):
        load_digit(io.BytesIO(data))


@pytest.mark.parametrize("form", ["P1", "P2", "P5"])
def test_what_would_take_too_long_is_refused(form):
    """Pillow decodes these in Python, a microsecond for each number."""
    most = "" if form == "P1" else " 99"
    for side, message in (60, "shows no digit"), (1200, "too long to read: .* PNG"):
        data = f"{form} {side} {side}{most}\n".encode() + b"1 " * side * side
        with pytest.raises(HandwritingError, match=message):
            load_digit(io.BytesIO(data))
