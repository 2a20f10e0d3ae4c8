"""The page's framing: the frames that load_digit gives, from Chromium."""

import base64

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_handwriting import KINDS, SHAPES, UNFIT, drawing, likeness, stroke
from test_labs import LABS

from mnist_lesson import HandwritingError, example_picture, load_digit
from mnist_lesson.handwriting import framing_steps
from mnist_lesson.picture import read_grey

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


def unpacked(text, shape):
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def expected(image):
    try:
        return framing_steps(image)
    except HandwritingError as error:
        return {"message": str(error).removeprefix("the picture ")}


def assert_same(framing, greys):
    """Compare what the page makes of grey pictures with what the package does.

    Returns how many of them were framed.
    """
    framed = 0
    for grey, got in zip(
        greys, framing.evaluate("frameAll", [packed(g) for g in greys]), strict=True
    ):
        wanted = expected(Image.fromarray(grey))
        assert got.get("message") == wanted.get("message")
        if "frame" in wanted:
            framed += 1
            for step in ("ink", "digit", "frame"):
                np.testing.assert_array_equal(
                    unpacked(got[step], wanted[step].shape), wanted[step]
                )
    return framed


def test_a_hundred_digits_on_the_pad(framing, sample):
    pads = [
        stroke(digit, height, pen, 280, left=pen)
        for digit in SHAPES
        for height in (50, 90, 130, 180, 230)
        for pen in (3, 8, 20, 32)
    ]
    sides = np.linspace(70, 260, 40).astype(int)
    pads += [
        drawing(digit, 280, side, (280 - side, 10))
        for digit, side in zip(sample.test.images[::25], sides.tolist(), strict=True)
    ]
    assert assert_same(framing, pads) == 100
    # Framed by what was drawn: where no pen fills its box, the same as from a picture.
    inks = [packed(255 - pad) for pad in pads[:60]]
    for pad, got in zip(pads[:60], framing.evaluate("strokesOf", inks), strict=True):
        frame = load_digit(Image.fromarray(pad))
        assert likeness(unpacked(got["frame"], (28, 28)), frame) > 0.99


def test_photos_and_every_kind_of_picture(framing):
    files = [example_picture(name) for name in ("three", "five", "eight", "seven")]
    greys = [read_grey(file) for file in (*files, *KINDS.values())]
    assert assert_same(framing, greys) == len(greys)
    assert assert_same(framing, [np.rot90(greys[1])]) == 1  # its lines upright


def test_squares_of_any_size_and_tilt(framing):
    """Symmetry makes ties wherever something is rounded."""
    pads = [drawing(size=57, side=44, at=(4, 6))]
    for box in ((130, 40, 150, 240), (40, 130, 240, 150), (60, 60, 200, 200)):
        pad = Image.new("L", (280, 280), 255)
        ImageDraw.Draw(pad).rounded_rectangle(box, 10, outline=0, width=20)
        pads += [np.asarray(pad), np.asarray(pad.rotate(7, fillcolor=255))]
    assert assert_same(framing, pads) > 3


@pytest.mark.parametrize(
    "columns, rows, tilt, framed",
    [(36, 36, 0, 3), (55, 5, 3, 3), (34, 5, 3, 3), (18, 7, 0, 0)],
)
def test_squared_paper(framing, columns, rows, tilt, framed):
    """What was taken away as a line across says nothing of the lines down."""
    pads = []
    for digit in SHAPES:
        paper = Image.new("L", (240, 240), 242)
        pencil = ImageDraw.Draw(paper)
        for at in range(rows // 2, 240, rows):
            pencil.line((0, at, 240, at + tilt), fill=210, width=3)
        for line, at in enumerate(range(columns // 2, 240, columns)):
            pencil.line((at, 0, at - tilt, 240), fill=210, width=3 - line % 2)
        pads.append(np.minimum(paper, stroke(digit, 110, 9, 240) // 3 + 150))
    assert assert_same(framing, pads) == framed


def test_what_cannot_be_framed_is_said_in_the_same_words(framing):
    images = [image for image, _ in UNFIT if max(image.size) < 1_000]
    images += [Image.new("L", (11, 9)), Image.new("L", (800, 1), 200)]
    greys = [np.asarray(image.convert("L")) for image in images]
    assert assert_same(framing, greys) == 0


def colours(size, clear=0.0):
    """Colours and transparency at random, uint8 (H, W, 4)."""
    rng = np.random.default_rng(1)
    width, height = size
    pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[rng.random((height, width)) > clear, 3] = 255
    return pixels


GREYS = {
    "opaque": colours((90, 40)),
    "cut corners": colours((33, 390), 0.5),  # in Python, cut into strips
    "a drawing": np.asarray(KINDS["black 100"]),
    "a white drawing": np.asarray(KINDS["white 255"]),
    "nothing": np.zeros((20, 30, 4), np.uint8),
    "wide": colours((1700, 300)),
    "tall": colours((517, 1013)),
    "square": colours((801, 801)),
    "narrow": colours((317, 640)),  # cheaper down first, then across
}


@pytest.mark.parametrize("kind", GREYS)
def test_grey_is_pillows(framing, kind):
    got = framing.evaluate("greyOf", packed(GREYS[kind]))
    wanted = read_grey(Image.fromarray(GREYS[kind]))
    assert (got["height"], got["width"]) == wanted.shape
    np.testing.assert_array_equal(unpacked(got["grey"], wanted.shape), wanted)


@pytest.mark.parametrize("size", [(7, 4), (9_000, 10_000)])
def test_sizes_that_are_refused(framing, size):
    got = framing.evaluate("greyOf", ["", *size])
    assert got == expected(Image.new("1", size))
