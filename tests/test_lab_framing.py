"""The page's framing: the frames that load_digit gives, from Chromium."""

import base64

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from test_handwriting import MODES, UNFIT, drawing, likeness, noise, pictures
from test_labs import LABS

from mnist_lesson import _picture, example_picture, load_digit
from mnist_lesson.handwriting import HandwritingError, framing_steps

SCRIPT = """async () => {
  const { frame, frameStrokes, grey } = await lab.load("framing");
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const text = ({ buffer }) =>
    btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join(""));
  const said = (work) => {
    try { return work(); } catch ({ message }) { return { message }; }
  };
  window.frameAll = (pictures) => pictures.map(([data, width, height]) => said(() => {
    const { image, ...steps } = frame(bytes(data), width, height);
    return { frame: text(image), digit: text(steps.digit), ink: text(steps.ink) };
  }));
  window.strokesOf = (pads) => pads.map(([data, width, height]) => said(() =>
    ({ frame: text(frameStrokes(bytes(data), width, height).image) })));
  window.greyOf = ([data, width, height]) => said(() => {
    const found = grey({ data: bytes(data), width, height });
    return { ...found, grey: text(found.grey) };
  });
}"""


@pytest.fixture
def framing(page, tmp_path):
    """Open a page that has loaded the page's framing."""
    path = tmp_path / "framing.html"
    script = f'<script src="{LABS.as_uri()}/lab.js"></script>'
    path.write_text(f"<!doctype html>{script}", "utf-8")
    page.goto(path.as_uri())
    page.evaluate(SCRIPT)
    return page


def packed(pixels):
    height, width = pixels.shape[:2]
    return [base64.b64encode(pixels.tobytes()).decode(), width, height]


def unpacked(text, dtype=np.uint8):
    return np.frombuffer(base64.b64decode(text), dtype)


def expected(image):
    try:
        return framing_steps(image)
    except HandwritingError as error:
        return {"message": str(error).removeprefix("the picture ")}


def assert_same(framing, greys, framed=True):
    """Compare what the page makes of grey pictures with what the package does."""
    for grey, got in zip(
        greys, framing.evaluate("frameAll", [packed(g) for g in greys]), strict=True
    ):
        wanted = expected(Image.fromarray(grey))
        assert got.get("message") == wanted.get("message")
        assert framed is None or framed == ("frame" in wanted)
        if "frame" in wanted:
            frame = unpacked(got["frame"]).reshape(28, 28)
            np.testing.assert_array_equal(frame, wanted["frame"])
            digit = unpacked(got["digit"]).reshape(grey.shape)
            np.testing.assert_array_equal(digit, wanted["digit"])
            ink = unpacked(got["ink"]).reshape(grey.shape)
            np.testing.assert_array_equal(ink, wanted["ink"])


PAD = 280


def pad_with_strokes(digit, rng, height, pen):
    """Draw as on the pad: dark, round-capped strokes of one width on white."""
    fine = 4
    canvas = Image.new("L", (PAD * fine, PAD * fine), 255)
    pencil = ImageDraw.Draw(canvas)
    free = [PAD - pen - 0.7 * height, PAD - pen - height]
    corner = pen / 2 + rng.uniform(0, 1, 2) * np.maximum(free, 0)
    for stroke in pictures.STROKES[digit]:
        points = np.array(stroke) + rng.normal(0, 0.01, (len(stroke), 2))
        for x, y in (pictures.curve(points) * height + corner) * fine:
            r = pen * fine / 2
            pencil.ellipse((x - r, y - r, x + r, y + r), fill=0)
    return np.asarray(canvas.reduce(fine))


def pad_with_mnist(image, rng, side):
    """Enlarge one of MNIST's digits smoothly and put it somewhere on the pad."""
    ink = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    pad = Image.new("L", (PAD, PAD))
    pad.paste(ink, tuple(int(n) for n in rng.integers(0, PAD - side + 1, 2)))
    return np.asarray(ImageOps.invert(pad))


def test_a_hundred_digits_on_the_pad(framing, sample):
    rng = np.random.default_rng(4)
    heights, pens = (50, 90, 130, 180, 230), (3, 8, 20, 20, 32)
    pads = [
        pad_with_strokes(digit, rng, heights[turn], pens[(turn + digit) % 5])
        for digit in range(10)
        for turn in range(5)
    ]
    pads += [
        pad_with_mnist(image, rng, side)
        for image, side in zip(
            sample.test.images[::20], np.linspace(70, PAD, 50).astype(int), strict=True
        )
    ]
    assert len(pads) == 100
    assert_same(framing, pads)
    # Framed by what was drawn: where no pen fills its box, the same as from a picture.
    inks = [packed(255 - pad) for pad in pads[:50]]
    for pad, got in zip(pads, framing.evaluate("strokesOf", inks), strict=False):
        frame = unpacked(got["frame"]).reshape(28, 28)
        assert likeness(frame, load_digit(Image.fromarray(pad))) > 0.99


def test_photos_and_every_kind_of_picture(framing):
    files = [example_picture(name) for name in ("three", "five", "eight", "seven")]
    files += [make() for kind, make in MODES.items() if "million" not in kind]
    greys = [_picture.read_grey(file) for file in files]
    assert_same(framing, greys)
    assert_same(framing, [np.rot90(greys[1])], framed=None)  # its lines upright


def test_lines_and_squares_of_any_size_and_tilt(framing):
    """Symmetry makes ties wherever something is rounded."""
    pads = []
    for box in ((130, 40, 150, 240), (40, 130, 240, 150), (60, 60, 200, 200)):
        pad = Image.new("L", (PAD, PAD), 255)
        ImageDraw.Draw(pad).rounded_rectangle(box, 10, outline=0, width=20)
        pads += [np.asarray(pad), np.asarray(pad.rotate(7, fillcolor=255))]
    pads += [drawing(digit, size=57, height=31, pen=3, at=(4, 6)) for digit in (0, 1)]
    assert_same(framing, pads, framed=None)


@pytest.mark.parametrize(
    "columns, rows, tilt", [(36, 36, 0), (55, 5, 3), (34, 5, 3), (18, 7, 0)]
)
def test_squared_paper(framing, columns, rows, tilt):
    """What was taken away as a line across says nothing of the lines down."""
    pads = []
    for digit in (1, 3, 5, 7):
        paper = Image.new("L", (240, 240), 242)
        pencil = ImageDraw.Draw(paper)
        for at in range(rows // 2, 240, rows):
            pencil.line((0, at, 240, at + tilt), fill=210, width=3)
        for line, at in enumerate(range(columns // 2, 240, columns)):
            pencil.line((at, 0, at - tilt, 240), fill=210, width=3 - line % 2)
        pen = drawing(digit, size=240, pen=9, at=(60, 50)) // 3 + 150
        pads.append(np.minimum(paper, pen.astype(np.uint8)))
    assert_same(framing, pads, framed=None)


def test_what_cannot_be_framed_is_said_in_the_same_words(framing):
    images = [make() for kind, (make, _) in UNFIT.items() if kind != "huge"]
    images += [noise(0.03), Image.new("L", (11, 9)), Image.new("L", (800, 1), 200)]
    greys = [np.asarray(image.convert("L")) for image in images]
    assert_same(framing, greys, framed=False)


def colours(size, clear=0.0, seed=1):
    """Colours and transparency at random, uint8 (H, W, 4)."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[rng.random((height, width)) > clear, 3] = 255
    return pixels


GREYS = {
    "opaque": colours((90, 40)),
    "cut corners": colours((33, 50), 0.5),
    "a drawing": np.asarray(MODES["RGBA, black"]()),
    "a white drawing": np.asarray(MODES["RGBA, white"]()),
    "nothing": np.zeros((20, 30, 4), np.uint8),
    "wide": colours((1700, 300)),
    "tall": colours((517, 1013)),
    "square": colours((801, 801)),
    "narrow": colours((317, 640)),  # cheaper down first, then across
}


@pytest.mark.parametrize("kind", GREYS)
def test_grey_is_pillows(framing, kind):
    pixels = GREYS[kind]
    got = framing.evaluate("greyOf", packed(pixels))
    wanted = _picture.read_grey(Image.fromarray(pixels))
    assert (got["height"], got["width"]) == wanted.shape
    grey = unpacked(got["grey"]).reshape(wanted.shape)
    assert np.abs(grey.astype(int) - wanted).max() == 0


@pytest.mark.parametrize("size", [(7, 4), (9_000, 10_000)])
def test_sizes_that_are_refused(framing, size):
    width, height = size
    got = framing.evaluate("greyOf", ["", width, height])
    assert got == expected(Image.new("1", size))
