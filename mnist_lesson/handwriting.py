"""From a photo of one handwritten digit to MNIST's own frame.

A network trained on MNIST knows digits of one kind only: white ink on black, 20 pixels
high or wide, centred by mass in 28x28. Brought into that frame, a photo of your own
digit looks familiar to it; squashed to 28x28 as it is, it does not.

`framing_steps` does the work, one small function a step:
grey → ink → without lines → pieces → the digit → the frame.
"""

import contextlib
import io
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator
from errno import EINVAL
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from ._values import home_path

BOX, FRAME = 20, 28  # pixels: MNIST's digit and picture, LeCun et al. 1998, section III
CENTRE = 14  # MNIST's centres of mass lie within half a pixel of (14, 14)
FINE = 4  # the frame is prepared this many times finer, then averaged, as NIST's was
THIN, THICK = 1.9, 4.2  # pixels: four in five of MNIST's digits have such strokes

WORK_SIDE = 800  # pixels: a 0.5 mm pen on a photographed A4 page stays wider than one
SMALLEST_SIDE = 12  # pixels: less than this cannot hold a legible digit
MOST_PIXELS = 89_000_000  # above this Pillow suspects a decompression bomb
STRIP = 256  # rows: a large picture is made grey in strips, which take less memory
# The formats that are opened, no others: on some of those Pillow starts a program
# (Ghostscript on EPS). The number is how many million pixels are decoded in 2 seconds
# and 250 MB: JPEG can be decoded small; the last three are decoded in several copies.
FORMATS = {
    "PNG": 25,
    "JPEG": 50,
    "MPO": 50,  # what some phones call their JPEG
    "GIF": 25,
    "BMP": 25,
    "TIFF": 25,
    "PPM": 25,
    "WEBP": 13,
    "AVIF": 16,
    "HEIF": 25,
}
PROGRESSIVE = 25  # million pixels: such a JPEG has to be held in memory whole
SLOW = 1_000_000  # samples: for a few old formats Pillow's decoders are plain Python

FAINTEST = 0.06  # of the paper's brightness: less contrast than a hard pencil's
NOISE = 4.5  # standard deviations of the paper's grain that ink must exceed
# Parts of the picture's longer side: what is broader is light or desk, not a stroke.
PEN, BRUSH = 0.12, 0.3
COARSE = 100  # pixels a side: in smaller pictures every pen is as broad as a brush
DARK = 0.25  # the least contrast of a brush; broad and fainter is a shadow
ACROSS, DOWN = 0.16, 0.4  # of the digit's size: wider gaps part two digits
SMALLEST = 0.03  # of the picture's longer side: lower marks are dirt

_ONE_AT_A_TIME = threading.Lock()  # for warnings and stderr are the whole process's
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else it goes to stderr

Picture = str | os.PathLike[str] | BinaryIO | Image.Image
Grey = NDArray[np.uint8]
Ink = NDArray[np.floating]
Marks = NDArray[np.bool_]
Labels = NDArray[np.integer]


class HandwritingError(ValueError):
    """The picture does not show one handwritten digit that can be framed."""


def load_digit(file: Picture) -> Grey:
    """Bring a picture of one handwritten digit into MNIST's own frame.

    The digit may be dark on light or light on dark. It is fitted into 20x20 pixels
    keeping its aspect ratio, and placed so that its centre of mass is at the centre of
    28x28 [1]_.

    Parameters
    ----------
    file : path, binary file object or PIL image
        A photo, scan or drawing as PNG, JPEG, GIF (its first picture), BMP, TIFF, PPM,
        PGM, PBM or WebP; as AVIF where Pillow has it (from 11.3 on), and as HEIC after
        ``pillow_heif.register_heif_opener()``. Nothing else is opened, for Pillow
        would start a program on some files. `~` is the home folder. The file is
        neither changed nor closed.

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        White ink (255) on black (0).

    Raises
    ------
    HandwritingError
        There is no digit in the picture, or several; or it is too small, damaged, of
        another format or not a picture at all; or too large: a JPEG may have 50
        million pixels, a PNG 25, for no more is decoded in two seconds and 250 MB.
    OSError
        The file is not there, is a folder, or may not be read.
    TypeError
        `file` is something else altogether.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning
       applied to document recognition", Proc. IEEE 86(11), 1998, section III.A.
    """
    return framing_steps(file)["frame"]


def example_picture(name: str) -> Path:
    """Find one of the pictures that come with the package, drawn for this project.

    Parameters
    ----------
    name
        "three", "five", "seven" or "eight": what it shows.

    Returns
    -------
    pathlib.Path
        An image file; `load_digit` takes it.

    Raises
    ------
    ValueError
        If there is no such picture.
    """
    pictures = {p.stem: p for p in (Path(__file__).parent / "pictures").iterdir()}
    if name not in pictures:
        known = ", ".join(sorted(pictures))
        raise ValueError(f"there is no picture {name!r}; there are {known}")
    return pictures[name]


def framing_steps(file: Picture) -> dict[str, np.ndarray]:
    """Return what `load_digit` sees at each of its steps.

    Parameters
    ----------
    file : path, binary file object or PIL image
        As for `load_digit`, which raises the same errors.

    Returns
    -------
    dict of str to ndarray
        "grey", uint8 (H, W): the picture, shrunk to at most 800 pixels a side;
        "ink", float (H, W): how much darker than the paper, 0 to 1; "marks", bool
        (H, W): what stands out from the paper; "strokes", bool (H, W): the marks
        without ruled lines and without what enters from the border; "digit", bool
        (H, W): the strokes that belong together; "frame", uint8 (28, 28).
    """
    try:
        grey = _grey(file)
        found = _find(grey)
    except HandwritingError as error:
        name = "the picture" if isinstance(file, Image.Image) else _name(file)
        raise HandwritingError(f"{name} {error}") from error.__cause__
    return {"grey": grey, **found, "frame": _frame(found["ink"], found["digit"])}


def _find(grey: Grey) -> dict[str, np.ndarray]:
    """Find the digit as a pen's line; where there is none, as a brush's."""
    wide = _ink(grey, BRUSH)
    if max(grey.shape) < COARSE:
        return _find_in(wide)
    try:
        found = _find_in(_ink(grey, PEN))
        digit = found["digit"]
        # Too narrow a window sees no more than the corners of broad strokes.
        dark = wide > 0.7 * np.median(found["ink"][digit])
        labels, _ = _pieces(dark)
        touched = np.isin(labels, np.unique(labels[digit & dark]))
        if (touched & dark).sum() < 1.5 * (digit & dark).sum():
            return found
    except HandwritingError:
        pass
    found = _find_in(wide)
    if np.median(wide[found["digit"]]) < DARK:  # a brush is dark, a shadow is not
        raise HandwritingError(_NO_DIGIT)
    return found


def _find_in(ink: Ink) -> dict[str, np.ndarray]:
    marks = ink > max(FAINTEST, _noise(ink))
    strokes = _strokes(ink, marks)
    digit = _digit(ink, strokes)
    return {"ink": ink, "marks": marks, "strokes": strokes, "digit": digit}


def _name(file: str | os.PathLike[str] | BinaryIO) -> str:
    path = file if isinstance(file, str | os.PathLike) else getattr(file, "name", "")
    named = isinstance(path, str | bytes | os.PathLike)  # it may be a number, or None
    return (os.fsdecode(path) if named else "") or "the file"


def _grey(file: Picture) -> Grey:
    """Read the picture as uint8 grey, upright and at most WORK_SIDE pixels a side."""
    file = _source(file)
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # at sizes and oddities we look ourselves
            if isinstance(file, Image.Image):
                _check(file)
                return _shrunk_grey(file)
            with Image.open(file, formats=formats) as image:
                _check(image)
                image.draft(None, (WORK_SIDE, WORK_SIDE))  # JPEG: decode it small
                return _shrunk_grey(image)
    except HandwritingError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise HandwritingError(_TOO_LARGE.format(max(FORMATS.values()))) from error
    except Exception as error:  # a damaged file may raise anything in a decoder
        if getattr(error, "errno", None) not in (None, EINVAL):  # a seek to nowhere
            raise  # the operating system's own: not found, not allowed
        if "closed" in str(error):
            raise HandwritingError(_CLOSED) from error
        raise HandwritingError(
            f"cannot be read: it is damaged or none of {', '.join(formats)}; save it "
            "again as PNG or JPEG."
        ) from error


def _source(file: Picture) -> Path | BinaryIO | Image.Image:
    """Take what may be a picture; tell what to do with anything else."""
    if isinstance(file, Image.Image):
        return file
    if isinstance(file, str | os.PathLike):
        if re.match(r"\w{2,}:/|data:", str(file)):
            raise HandwritingError("is an address: download the picture first.")
        path = home_path(file)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: name one picture in it")
        return path
    if isinstance(file, type) or not hasattr(file, "read"):
        kind = repr(file) if isinstance(file, type) else type(file).__name__
        raise TypeError(
            f"load_digit takes a path, a binary file or a PIL image, not {kind}: turn "
            "an array into an image with PIL.Image.fromarray, bytes into a file with "
            "io.BytesIO."
        )
    if isinstance(file, io.TextIOBase):
        raise HandwritingError('cannot be read as text: open it with mode "rb".')
    return file


_NO_DIGIT = (
    "shows no digit: write one with a darker pen and let it fill more of the picture."
)
_CLOSED = "cannot be read: it is closed; open it again."
_TOO_LARGE = (
    "has more than {} million pixels: shrink it, 1,000 pixels a side are plenty."
)


def _check(image: Image.Image) -> None:
    """Refuse what takes long, or more than memory; only its header was read so far."""
    if image.format and image.format not in FORMATS:  # in memory it has no format
        raise UnidentifiedImageError(image.format)
    left = getattr(image, "tile", None)  # to be decoded, even if it came as an image
    if left and getattr(image, "fp", None) is None:
        raise HandwritingError(_CLOSED)
    most = FORMATS.get(image.format or "", MOST_PIXELS // 1_000_000)
    if left and "progressive" in image.info:
        most = min(most, PROGRESSIVE)
    pixels = image.width * image.height
    if pixels > most * 1_000_000:
        raise HandwritingError(_TOO_LARGE.format(most))
    if left and left[0][0] in Image.DECODERS:
        if pixels * len(image.getbands()) > SLOW:
            raise HandwritingError("takes too long to read: save it as PNG.")
    if max(image.size) < SMALLEST_SIDE:
        raise HandwritingError(
            f"is only {image.width}x{image.height} pixels: take a picture of at least "
            f"{FRAME}x{FRAME}."
        )
    if min(image.size) * WORK_SIDE < max(image.size):
        raise HandwritingError(_NO_DIGIT)  # a strip, of which shrinking leaves nothing


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep from the terminal what libtiff writes there, past Python."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # there may be no stderr
            stderr = os.dup(2)
            stack.callback(os.close, stderr)
            stack.callback(os.dup2, stderr, 2)
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 2)
            os.close(nothing)
        yield


def _shrunk_grey(image: Image.Image) -> Grey:
    if image.format == "TIFF":
        with _silence():
            image.load()
    if image.mode[0] in "IF":
        greys = _stretched(image)
    elif image.has_transparency_data:
        greys = _on_paper(image)
    else:
        greys = (_mean(strip) for strip in _strips(image))
    grey = _joined(greys, image.size)
    if max(grey.size) > WORK_SIDE:
        # The box filter averages areas, so a thin line gets fainter but never vanishes.
        grey = ImageOps.contain(grey, (WORK_SIDE,) * 2, Image.Resampling.BOX)
    with contextlib.suppress(Exception):  # a damaged note of the camera's is no harm
        grey.getexif()[0x0112] = image.getexif().get(0x0112, 1)
        grey = ImageOps.exif_transpose(grey)
    return np.asarray(grey).round().astype(np.uint8)


def _strips(image: Image.Image, mode: str = "") -> Iterator[Image.Image]:
    """Cut a picture into broad strips, for a large one takes much memory at a time."""
    for top in range(0, image.height, STRIP):
        bottom = min(top + STRIP, image.height)
        strip = image.crop((0, top, image.width, bottom))
        if strip.mode == "La":  # Pillow converts it to nothing but LA
            strip = strip.convert("LA")
        yield strip.convert(mode) if mode else strip


def _joined(strips: Iterator[Image.Image], size: tuple[int, int]) -> Image.Image:
    first = next(strips)
    whole = Image.new(first.mode, size)
    for number, strip in enumerate(chain([first], strips)):
        whole.paste(strip, (0, number * STRIP))
    return whole


def _mean(image: Image.Image) -> Image.Image:
    """Give the plain mean: the eye's weights would make yellow and blue pens vanish."""
    if image.mode == "LAB":  # which older Pillows cannot convert
        return image.getchannel("L")
    return image.convert("RGB").convert("L", (1 / 3, 1 / 3, 1 / 3, 0))


def _stretched(image: Image.Image) -> Iterator[Image.Image]:
    """Stretch 16 or 32 bits of any range to 0 … 255."""
    low, high = np.float32(0), np.float32(-1e38)
    for strip in _strips(image):
        values = np.asarray(strip, np.float32)
        values = np.clip(values[np.isfinite(values)], -1e38, 1e38)
        low, high = values.min(initial=low), values.max(initial=high)
    high = max(low, high)
    scale = 255 / max(high - low, np.float32(1e-30))
    for strip in _strips(image):
        values = np.nan_to_num(np.asarray(strip, np.float32))
        yield Image.fromarray((np.clip(values, low, high) - low) * scale)


def _on_paper(image: Image.Image) -> Iterator[Image.Image]:
    """Put a transparent drawing on a paper that its strokes stand out from."""
    counts = np.zeros((4, 256), int)
    for strip in _strips(image, "RGBA"):
        opaque = strip.getchannel("A").point(lambda alpha: 255 * (alpha > 127))
        counts += np.reshape(strip.histogram(opaque), (4, 256))
    pixels = counts[3].sum()
    if pixels > 0.5 * image.width * image.height:  # only the corners are cut, say:
        paper = [_median(count) for count in counts[:3]]  # go on with its own paper
    else:
        dark = (counts[:3] @ range(256)).sum() < 128 * 3 * pixels or not pixels
        paper = [255 * dark] * 3
    for strip in _strips(image, "RGBA"):
        sheet = Image.new("RGBA", strip.size, tuple(paper))
        yield _mean(Image.alpha_composite(sheet, strip))


def _median(counts: NDArray[np.integer]) -> int:
    """Give the median of grey levels, of which we know how often each occurs."""
    middle = [(counts.sum() - 1) // 2, counts.sum() // 2]
    return int(np.searchsorted(counts.cumsum(), middle, side="right").mean())


def _spread(values: np.ndarray, down: int, across: int) -> np.ndarray:
    """Return the largest value within `down` rows and `across` columns."""
    for axis, radius in ((0, down), (1, across)):
        values = np.moveaxis(values, axis, 0)
        done = 0
        while done < radius:  # windows of twice the size, at most what is left
            step = min(done + 1, radius - done) if done else 1
            wider = values.copy()
            np.maximum(wider[step:], values[:-step], out=wider[step:])
            np.maximum(wider[:-step], values[step:], out=wider[:-step])
            values, done = wider, done + step
        values = np.moveaxis(values, 0, axis)
    return values


def _blur(grey: Grey | Ink, radius: float) -> Ink:
    blurred = Image.fromarray(grey.astype(np.uint8))
    blurred = blurred.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred).astype(np.float32)


def _ink(grey: Grey, widest: float) -> Ink:
    """Return how much darker than the paper each pixel is, as a part of its light."""
    side = max(grey.shape)
    smooth = _blur(grey, min(1, side / 250))  # the camera's noise is finer than a pen
    if _skewness(smooth) > 0:
        smooth = 255 - smooth  # white on black
    # A closing (spread the light, then the dark) removes what is dark and narrower
    # than its window, and keeps edges, shadows and gradients: it leaves the paper.
    # What reaches the border is taken to go on beyond it.
    radius = max(1, round(widest * side / 2))
    paper = _spread(np.pad(smooth, 2 * radius, mode="edge"), radius, radius)
    paper = -_spread(-paper, radius, radius)[
        2 * radius : -2 * radius, 2 * radius : -2 * radius
    ]
    # Light multiplies, so contrast is relative; but a dark desk has no paper to divide.
    ink: Ink = (paper - smooth) / np.maximum(paper, np.median(paper) / 2 + 1)
    return ink


def _skewness(grey: Ink) -> float:
    """Return how far bright detail stands out (above 0), or dark detail (below).

    A stroke is on one side of its surroundings; a shadow's edge is equally on both,
    and cancels. No single scale fits thin pens and thick brushes, so four vote.
    """
    votes = []
    for part in (64, 32, 16, 8):
        cubes = np.subtract(grey, _blur(grey, max(grey.shape) / part)) ** 3
        votes.append(float(cubes.sum() / (np.abs(cubes).sum() + 1)))
    return sum(vote * abs(vote) for vote in votes)  # the sure ones count most


def _noise(ink: Ink) -> float:
    """Return the level that the paper's grain does not exceed."""
    middle = np.median(ink)
    return float(middle + NOISE * 1.4826 * np.median(np.abs(ink - middle)))


def _otsu(values: Ink) -> float:
    """Return the threshold that splits `values` best into two classes (Otsu 1979)."""
    counts, edges = np.histogram(values, 64)
    centres = (edges[1:] + edges[:-1]) / 2
    low = np.cumsum(counts)[:-1]
    low_sum = np.cumsum(counts * centres)[:-1]
    high, high_sum = counts.sum() - low, (counts * centres).sum() - low_sum
    gap = low_sum / np.maximum(low, 1) - high_sum / np.maximum(high, 1)
    between = low * high * gap**2
    return float(edges[1 + between.argmax()])


def _strokes(ink: Ink, marks: Marks) -> Marks:
    """Keep the marks that a pen may have made on this picture."""
    strokes = _without_lines(ink, marks)
    labels, count = _pieces(strokes)
    # Desk, fingers and the page's edge enter along the border; a digit that was
    # cropped tightly only touches it.
    rim = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    contact = np.bincount(rim, minlength=count + 1) / len(rim)
    enters = contact > 0.2
    enters[0] = True
    sizes = _sizes(labels, count).max(0)
    inner = (contact == 0) & (sizes > SMALLEST * max(ink.shape))
    if inner.any() and sizes[inner].max() > 0.25 * sizes[~enters].max():
        enters |= contact > 0
    strokes = ~enters[labels]
    if strokes.any():
        strokes &= ink > 0.65 * _otsu(ink[strokes])
    return strokes


def _without_lines(ink: Ink, marks: Marks) -> Marks:
    """Take ruled lines away: long, thin, straight, level or upright."""
    marks = _without_level_lines(ink, marks)
    return _without_level_lines(ink.T, marks.T).T


def _without_level_lines(ink: Ink, marks: Marks) -> Marks:
    height, width = marks.shape
    slack = max(marks.shape) // 250  # pages curl and lenses bend
    rows, columns = np.nonzero(_spread(marks, slack, 0))
    on_line = np.zeros_like(marks)
    slopes = np.linspace(-0.12, 0.12, 49)  # the camera was not held quite straight
    for slope in slopes:
        place = (rows - slope * (columns - width / 2)).round().astype(int) + width
        inner = np.bincount(place, minlength=height + 2 * width)
        ends = (columns < 0.05 * width) | (columns > 0.95 * width)
        outer = np.bincount(place[ends], minlength=height + 2 * width)
        long = (inner > 0.6 * width) & (outer > 0.04 * width)
        on_line[rows, columns] |= long[place]
    on_line &= marks
    runs = _runs_down(marks)
    if not on_line.any():
        return marks
    thickness = np.median(runs[on_line])
    if thickness > max(marks.shape) / 50:
        return marks
    # Where a stroke crosses the line, the ink goes on above or below: keep it,
    # and ink more than twice as dark, which not even two crossing lines can be.
    faint = ink < 2 * np.median(ink[on_line])
    return marks & ~(on_line & faint & (runs <= 1.6 * thickness + 1))


def _runs_down(marks: Marks) -> Labels:
    """Return for each marked pixel the length of the upright run it is part of."""
    rows = np.arange(len(marks))[:, None]
    above = np.maximum.accumulate(np.where(marks, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(marks, len(marks), rows)[::-1], axis=0)
    return (below[::-1] - above - 1) * marks


def _pieces(marks: Marks) -> tuple[Labels, int]:
    """Label connected pieces, diagonals included, from 1 to count; 0 elsewhere.

    Every pixel points to a neighbour of lower index until all point to the first.
    """
    (pixels,) = np.nonzero(marks.ravel())
    flat = np.full(marks.size, -1)
    flat[pixels] = np.arange(len(pixels))
    index = flat.reshape(marks.shape)
    pairs = []
    for a, b in (
        (index[:, 1:], index[:, :-1]),
        (index[1:], index[:-1]),
        (index[1:, 1:], index[:-1, :-1]),
        (index[1:, :-1], index[:-1, 1:]),
    ):
        both = (a >= 0) & (b >= 0)
        pairs.append(np.stack([a[both], b[both]]))
    a, b = np.concatenate(pairs, axis=1)
    root = np.arange(len(pixels))
    while len(a):
        ra, rb = root[a], root[b]
        differ = ra != rb
        a, b, ra, rb = a[differ], b[differ], ra[differ], rb[differ]
        np.minimum.at(root, np.maximum(ra, rb), np.minimum(ra, rb))
        while (root != root[root]).any():
            root = root[root]
    names, labels = np.unique(root, return_inverse=True)
    picture = np.zeros(marks.size, int)
    picture[pixels] = labels + 1
    return picture.reshape(marks.shape), len(names)


def _sizes(labels: Labels, count: int) -> Labels:
    """Return the heights and widths of all pieces, shape (2, count + 1), in pixels."""
    sizes = np.zeros((2, count + 1), int)
    which = labels[labels > 0]
    for axis, places in enumerate(np.nonzero(labels)):
        first = np.full(count + 1, labels.shape[axis])
        last = np.full(count + 1, -1)
        np.minimum.at(first, which, places)
        np.maximum.at(last, which, places)
        sizes[axis] = last - first + 1
    sizes[:, 0] = 0
    return sizes


def _extent(marks: Marks) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of what is marked, ends exclusive."""
    rows, columns = np.nonzero(marks.any(1))[0], np.nonzero(marks.any(0))[0]
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def _digit(ink: Ink, strokes: Marks) -> Marks:
    """Choose the strokes that make up the digit."""
    labels, count = _pieces(strokes)
    mass = np.bincount(labels.ravel(), ink.ravel(), minlength=count + 1)
    mass[0] = 0
    side = max(ink.shape)
    heights, widths = _sizes(labels, count)
    # Flat marks are what is left of a line or a shadow, for every digit has height.
    best = (mass * np.minimum(1, heights / np.maximum(widths, 1))).argmax()
    # Strokes of one digit lie close together, measured by the digit itself.
    # Digits follow each other across, so a gap across parts them sooner.
    digit: Marks = (labels == best) & strokes
    heavy = mass > 0.03 * mass[best]
    while digit.any():
        size = _size(digit)
        near = np.unique(
            labels[_spread(digit, round(DOWN * size), round(ACROSS * size))]
        )
        grown = np.isin(labels, near[heavy[near]])
        if (grown == digit).all():
            break
        digit = grown
    if not digit.any() or _size(digit) < max(SMALLEST * side, 4):
        raise HandwritingError(_NO_DIGIT)
    others = heavy & (mass > 0.2 * mass[best])
    others[np.unique(labels[digit])] = False
    if (others & (heights > 0.4 * heights[best])).any():
        raise HandwritingError(
            "shows more than one digit: leave one, or cut the picture."
        )
    return digit


def _size(marks: Marks) -> int:
    top, bottom, left, right = _extent(marks)
    return max(bottom - top, right - left)


def _frame(ink: Ink, digit: Marks) -> Grey:
    """Fit the digit into 20x20 and centre its mass in 28x28."""
    level = np.percentile(ink[digit], 75)
    fine = np.clip(ink / level, 0, 1).astype(np.float32) * _spread(digit, 1, 1)
    fine = _fit(fine, digit, BOX * FINE)
    # A thin pen would leave grey threads, a thick brush blobs: MNIST has neither.
    for _ in range(2):
        drawn = np.pad(_drawn(fine), 1)
        edge = (drawn[1:] != drawn[:-1]).sum() + (drawn[:, 1:] != drawn[:, :-1]).sum()
        width = 2 * drawn.sum() / (np.pi / 4 * edge)
        change = (np.clip(width, THIN * FINE, THICK * FINE) - width) / 2
        if abs(change) < 0.5:
            break
        fine = _thicken(fine, change)
        fine = _fit(fine, _drawn(fine), BOX * FINE)
    small = np.asarray(Image.fromarray(fine).reduce(FINE))
    frame = np.zeros((FRAME, FRAME))
    corner = [
        round(CENTRE - (places * small).sum() / small.sum())
        for places in np.indices(small.shape)
    ]
    top, left = np.clip(corner, 0, np.subtract(FRAME, small.shape))
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    framed: Grey = (255 * frame / small.max()).round().astype(np.uint8)
    return framed


def _drawn(fine: Ink) -> Marks:
    """Tell ink from paper; the thinnest pen's threads are pale after shrinking."""
    drawn: Marks = fine > fine.max() / 2
    return drawn


def _fit(ink: Ink, marks: Marks, side: int) -> Ink:
    """Scale the marked part so that its longer side is `side`."""
    top, bottom, left, right = _extent(marks)
    scale = side / max(bottom - top, right - left)
    cut = Image.fromarray(ink)
    size = (
        max(1, round((right - left) * scale)),
        max(1, round((bottom - top) * scale)),
    )
    cut = cut.resize(size, Image.Resampling.BICUBIC, (left, top, right, bottom))
    fitted: Ink = np.clip(np.asarray(cut), 0, 1)
    return fitted


def _thicken(ink: Ink, radius: float) -> Ink:
    """Redraw with a nib wider by `radius` pixels on each side (thinner if negative)."""
    reach = int(np.ceil(abs(radius)))
    height, width = ink.shape[0] + 2 * reach, ink.shape[1] + 2 * reach
    padded = np.pad(ink, 2 * reach)
    nib = range(2 * reach + 1)
    moved = [
        padded[y : y + height, x : x + width]
        for y in nib
        for x in nib
        if (y - reach) ** 2 + (x - reach) ** 2 <= radius**2 + 0.5
    ]
    drawn: Ink = np.max(moved, axis=0) if radius > 0 else np.min(moved, axis=0)
    return drawn
