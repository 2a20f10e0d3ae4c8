"""Read any picture as grey levels: upright, small, and without a surprise.

A file may be damaged, huge, or of a format on which Pillow starts a program. What
cannot be read gets one sentence; nothing is printed, and no file is changed.
"""

import contextlib
import io
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from errno import EINVAL
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from .values import home_path

SIDE = 400  # pixels: a pen on a photographed A4 page is about as wide as one
SMALLEST_SIDE = 8  # pixels: less than this cannot hold a legible digit
MOST_PIXELS = 89_000_000  # above this Pillow suspects a decompression bomb
CONTRAST = 64  # grey levels: ink of one colour has less
ORIENTATION = ExifTags.Base.Orientation
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

NO_DIGIT = (
    "shows no digit: write one with a darker pen and let it fill more of the picture."
)
_CLOSED = "cannot be read: it is closed; open it again."
_NO_NAME = (  # for Windows; in Python, "\7" is one character
    "cannot be the name of a file: give one file, and write \\ as / or the name as "
    'r"C:\\folder\\7.png".'
)
_TOO_LARGE = (
    "has more than {} million pixels: shrink it, 1,000 pixels a side is plenty."
)

_ONE_AT_A_TIME = threading.Lock()  # for warnings and stderr are the whole process's
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else it goes to stderr

Picture = str | os.PathLike[str] | BinaryIO | Image.Image
Grey = NDArray[np.uint8]


class HandwritingError(ValueError):
    """The picture does not show one handwritten digit that can be framed."""


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


def name(file: Picture) -> str:
    """Say in a message which picture is meant."""
    if isinstance(file, Image.Image):
        return "the picture"
    path = file if isinstance(file, str | os.PathLike) else getattr(file, "name", "")
    named = isinstance(path, str | bytes | os.PathLike)  # it may be a number, or None
    return (os.fsdecode(path) if named else "") or "the file"


def read_grey(file: Picture) -> Grey:
    """Read the picture as uint8 grey, upright and at most SIDE pixels a side."""
    file = _source(file)
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        # Sizes and oddities are checked below.
        with _ONE_AT_A_TIME, warnings.catch_warnings(action="ignore"):
            if isinstance(file, Image.Image):
                _check(file)
                return _small_grey(file)
            with Image.open(file, formats=formats) as image:
                _check(image)
                image.draft(None, (SIDE, SIDE))  # JPEG: decode it small
                return _small_grey(image)
    except HandwritingError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise HandwritingError(_TOO_LARGE.format(max(FORMATS.values()))) from error
    except Exception as error:  # a damaged file may raise anything in a decoder
        number, opened = getattr(error, "errno", None), getattr(error, "filename", None)
        if isinstance(error, ValueError) and "closed" in str(error):
            raise HandwritingError(_CLOSED) from error
        if (number == EINVAL and opened) or "embedded null" in str(error):
            raise HandwritingError(_NO_NAME) from error
        if number not in (None, EINVAL):  # which may also be a seek to nowhere
            raise  # the operating system's own: not found, not allowed
        raise HandwritingError(
            f"cannot be read: it is damaged or none of {', '.join(formats)}; save it "
            "again as PNG or JPEG."
        ) from error


def _source(file: Picture) -> Path | BinaryIO | Image.Image:
    """Take what may be a picture; tell what to do with anything else."""
    if isinstance(file, str | os.PathLike):
        if re.match(r"\w{2,}:/|data:", str(file)):
            raise HandwritingError("is an address: download the picture first.")
        path = home_path(file)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: name one picture in it")
        return path
    if isinstance(file, io.TextIOBase):
        raise HandwritingError('cannot be read as text: open it with mode "rb".')
    if isinstance(file, Image.Image) or (
        hasattr(file, "read") and not isinstance(file, type)
    ):
        return file
    kind = repr(file) if isinstance(file, type) else type(file).__name__
    raise TypeError(
        f"load_digit takes a path, a binary file or a PIL image, not {kind}: turn an "
        "array into an image with PIL.Image.fromarray, bytes into a file with "
        "io.BytesIO."
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
    slow = left and left[0][0] in Image.DECODERS
    if slow and pixels * len(image.getbands()) > SLOW:
        raise HandwritingError("takes too long to read: save it as PNG.")
    if max(image.size) < SMALLEST_SIDE:
        raise HandwritingError(
            f"is only {image.width}x{image.height} pixels: take a picture of at least "
            "28x28."
        )
    if min(image.size) * SIDE < max(image.size):
        raise HandwritingError(NO_DIGIT)  # a strip, of which shrinking leaves nothing


def _small_grey(image: Image.Image) -> Grey:
    if image.format == "TIFF":
        with _silence():
            image.load()
    deep = image.mode[0] in "IF"
    to_grey: Callable[[Image.Image], Image.Image] = _mean
    if deep:
        to_grey = _stretching(image)
    elif image.has_transparency_data:
        to_grey = _on_paper(image)
    grey = Image.new("F" if deep else "L", image.size)
    for number, strip in enumerate(_strips(image)):
        grey.paste(to_grey(strip), (0, number * STRIP))
    longer = max(grey.size)
    if longer > SIDE:
        # The box filter averages areas, so a thin line gets fainter but never vanishes.
        # Across, then down: asked for both, Pillow 13 begins with what is cheaper.
        size = [max(1, (2 * n * SIDE + longer) // (2 * longer)) for n in grey.size]
        for width, height in (size[0], grey.height), size:
            grey = grey.resize((width, height), Image.Resampling.BOX)
    with contextlib.suppress(Exception):  # a damaged note of the camera's is no harm
        grey.getexif()[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
        grey = ImageOps.exif_transpose(grey)
    return np.asarray(grey).round().astype(np.uint8)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep from the terminal what libtiff writes there, past Python."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # there may be no stderr
            stderr = os.dup(2)
            stack.callback(os.close, stderr)
            stack.callback(os.dup2, stderr, 2)
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
        yield


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    """Cut a picture into broad strips, for a large one takes much memory at a time."""
    for top in range(0, image.height, STRIP):
        yield image.crop((0, top, image.width, min(top + STRIP, image.height)))


def _mean(strip: Image.Image) -> Image.Image:
    """Give the plain mean: the eye's weights would make yellow and blue pens vanish."""
    return strip.convert("RGB").convert("L", (1 / 3, 1 / 3, 1 / 3, 0))


def _stretching(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Stretch 16 or 32 bits of any range to 0 … 255."""
    low, high = np.float32(0), np.float32(-1e38)
    for strip in _strips(image):
        values = np.asarray(strip, np.float32)
        values = values[np.isfinite(values)].clip(-1e38, 1e38)
        low, high = values.min(initial=low), values.max(initial=high)
    high = max(low, high)
    scale = 255 / max(high - low, np.float32(1e-30))

    def stretch(strip: Image.Image) -> Image.Image:
        values = np.nan_to_num(np.asarray(strip, np.float32))
        return Image.fromarray((values.clip(low, high) - low) * scale)

    return stretch


def _on_paper(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Put a transparent drawing on a paper that its strokes stand out from."""
    counts = np.zeros((4, 256), int)  # of what covers, a row for each colour and alpha
    ink = np.zeros(4)  # sums over all pixels: the colours times alpha, and alpha
    for strip in _strips(image):
        colours = strip.convert("RGBA")
        opaque = colours.getchannel("A").point(lambda alpha: 255 * (alpha > 127))
        counts += np.reshape(colours.histogram(opaque), (4, 256))
        ink += np.reshape(colours.convert("RGBa").histogram(), (4, 256)) @ range(256)
    paper = [255 * (2 * ink[:3].sum() < 3 * ink[3] or not ink[3])] * 3
    # A picture of which only corners are cut, say, has its own paper: the median.
    covered = counts[3].sum()
    own = 2 * covered > image.width * image.height
    if own and max(np.ptp(np.nonzero(count)) for count in counts[:3]) > CONTRAST:
        middle = [(covered - 1) // 2, covered // 2]
        levels = [np.searchsorted(n.cumsum(), middle, "right") for n in counts[:3]]
        paper = [int(pair.mean()) for pair in levels]

    def laid(strip: Image.Image) -> Image.Image:
        sheet = Image.new("RGBA", strip.size, tuple(paper))
        return _mean(Image.alpha_composite(sheet, strip.convert("RGBA")))

    return laid
