"""From a photo of one handwritten digit to MNIST's own frame, in whole numbers.

A network trained on MNIST knows digits of one kind only: white ink on black, 20 pixels
high or wide, centred by mass in 28x28. Brought into that frame, a photo of your own
digit looks familiar to it; squashed to 28x28 as it is, it does not.

`framing_steps` does the work, one small function a step:
grey → ink → without lines → pieces → the digit → the frame.
The page's framing.js takes the same steps and gets the same numbers.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .picture import NO_DIGIT, Grey, HandwritingError, Picture, name, read_grey

BOX, FRAME = 20, 28  # pixels: MNIST's digit and picture, LeCun et al. 1998, section III
CENTRE = 14  # MNIST's centres of mass lie within half a pixel of (14, 14)
FINE = 4  # the frame is prepared this many times finer, then averaged, as NIST's was
THIN, THICK = 1.9, 4.2  # pixels: four in five of MNIST's digits have such strokes

# Parts of the picture's longer side, in percent.
WINDOW = 30  # what is broader is light or desk, not a stroke
SMALLEST = 3  # lower marks are dirt
FAINTEST = 15  # of 255, the paper's brightness: less contrast than a hard pencil's
ACROSS, DOWN = 16, 40  # percent of the digit: wider gaps part two digits
# Neighbours that count as connected: all eight; the ones above and below.
EIGHT, VERTICAL = np.ones((3, 3)), [[0, 1, 0]] * 3

Marks = NDArray[np.bool_]
Numbers = NDArray[np.integer]


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


def framing_steps(file: Picture) -> dict[str, np.ndarray]:
    """Return what `load_digit` sees at each of its steps.

    Parameters
    ----------
    file : path, binary file object or PIL image
        As for `load_digit`, which raises the same errors.

    Returns
    -------
    dict of str to ndarray
        "grey", uint8 (H, W): the picture, shrunk to at most 400 pixels a side;
        "ink", uint8 (H, W): how much darker than the paper, 0 to 255; "marks", bool
        (H, W): what stands out from the paper; "strokes", bool (H, W): the marks
        without ruled lines and without what enters from the border; "digit", bool
        (H, W): the strokes that belong together; "frame", uint8 (28, 28).
    """
    try:
        grey = read_grey(file)
        ink = _ink(grey.astype(np.int64))  # on Windows, int may have 32 bits
        marks = ink > max(FAINTEST, _grain(ink))
        strokes = _strokes(ink, _without_lines(ink, marks))
        digit = _digit(ink, strokes)
    except HandwritingError as error:
        raise HandwritingError(f"{name(file)} {error}") from error.__cause__
    return {
        "grey": grey,
        "ink": ink.astype(np.uint8),
        "marks": marks,
        "strokes": strokes,
        "digit": digit,
        "frame": _frame(ink, digit),
    }


def _quantile(values: Numbers, percent: int = 50) -> int:
    """Return the median, or another percentile, as one of the values."""
    return int(np.quantile(values, percent / 100, method="lower"))


def _otsu(values: Numbers) -> tuple[int, float, float]:
    """Return Otsu's threshold, its classes' distance, and their separability (1979)."""
    levels = np.arange(256)
    counts = np.bincount(values.ravel(), minlength=256)
    total, total_sum = counts.sum(), (counts * levels).sum()
    low, low_sum = counts.cumsum()[:-1], (counts * levels).cumsum()[:-1]
    high, high_sum = total - low, total_sum - low_sum
    gaps = high_sum / np.maximum(high, 1) - low_sum / np.maximum(low, 1)
    between = low * high * gaps * gaps
    best = int(between.argmax())
    variance = total * (counts * levels**2).sum() - total_sum**2
    return best, gaps[best] * (between[best] > 0), between[best] / max(variance, 1)


# ---- from grey to ink


def _ink(grey: Numbers) -> Numbers:
    """Return how much darker than the paper each pixel is, as a part of its light."""
    if _light_on_dark(grey):
        grey = 255 - grey
    # A closing (spread the light, then the dark) removes what is dark and narrower
    # than its window, and keeps edges, shadows and gradients: it leaves the paper.
    radius = max(1, (WINDOW * max(grey.shape) + 100) // 200)
    # Is there ink at the border, then paper is beyond; else what is there goes on.
    beyond = {"constant_values": grey.max()} if _cut_tightly(grey) else {"mode": "edge"}
    paper = np.pad(grey, 2 * radius, **beyond)
    paper = ndimage.grey_closing(paper, (2 * radius + 1, 2 * radius + 1))
    paper = paper[2 * radius : -2 * radius, 2 * radius : -2 * radius]
    # Light multiplies, so contrast is relative; but a dark desk has no paper to divide.
    ink: Numbers = 255 * (paper - grey) // np.maximum(paper, _quantile(paper) // 2 + 1)
    return ink


def _light_on_dark(grey: Numbers) -> bool:
    """Tell whether bright detail stands out, or dark detail."""
    # A stroke is on one side of its surroundings; a shadow's edge is equally on both,
    # and cancels. What is at the border goes on there, or is a strip between here and
    # its mirror image, like the edge of a desk.
    votes = 0.0
    for part, mode, weight in (16, "nearest", 2), (2, "nearest", 2), (2, "reflect", 1):
        window = 2 * (max(grey.shape) // part // 2) + 1
        means = ndimage.uniform_filter(grey.astype(float), window, mode=mode)
        cubes = (grey - np.rint(means).astype(np.int64)) ** 3
        vote = int(cubes.sum()) / (int(np.abs(cubes).sum()) + 1)
        votes += weight * vote * abs(vote)  # the sure ones count most
    return votes > 0


def _cut_tightly(grey: Numbers) -> bool:
    """Tell whether strokes, broader than a ruled line, reach the picture's border."""
    side = max(grey.shape)
    rim = np.concatenate([grey[0], grey[1:, -1], grey[-1, -2::-1], grey[-2:0:-1, 0]])
    rim = ndimage.grey_closing(rim, 2 * (side // 50) + 1, mode="wrap")
    steps = np.abs(rim - np.roll(rim, 3 + side // 100))  # a shadow's edge is softer
    return bool(2 * steps.max() > _otsu(grey)[1] > 0)


def _grain(ink: Numbers) -> int:
    """Return the level that the paper's grain does not exceed."""
    middle = _quantile(ink)
    deviation = _quantile(np.abs(ink - middle))  # 20/3 of it: 4.5 standard deviations
    level = middle + 20 * deviation // 3
    dark, gap, explained = _otsu(ink)
    two_classes = explained > 0.9 or gap * explained > 45  # which grain has not
    # In a picture full of ink, the middle is no paper.
    return dark // 2 if level > dark and two_classes else level


# ---- from ink to strokes


def _without_lines(ink: Numbers, marks: Marks) -> Marks:
    """Take ruled lines away: long, thin, straight, level or upright."""
    level, levels = _lines(marks)
    upright, uprights = _lines(marks.T)
    rest = marks & ~level & ~upright.T
    marks = _erase(ink, marks, level, levels, rest)
    return _erase(ink.T, marks.T, upright, uprights, rest.T).T


def _lines(marks: Marks) -> tuple[Marks, int]:
    """Find what lies on straight lines from side to side, and how many there are."""
    height, width = marks.shape
    slack = max(marks.shape) // 250  # pages curl and lenses bend
    near = ndimage.maximum_filter1d(marks, 2 * slack + 1, axis=0, mode="constant")
    rows, columns = np.nonzero(near)
    at_ends = (20 * columns < width) | (20 * columns >= 19 * width)
    found, most = np.zeros_like(marks), 0
    for slope in range(-24, 25):  # the camera was not held quite straight
        line = rows - slope * (2 * columns - width) // 400 + width
        inner = np.bincount(line, minlength=height + 2 * width)
        outer = np.bincount(line[at_ends], minlength=height + 2 * width)
        long = (10 * inner > 6 * width) & (25 * outer > width)
        most = max(most, int((long[1:] & ~long[:-1]).sum()))
        found[rows, columns] |= long[line]
    return found & marks, most


def _erase(ink: Numbers, marks: Marks, lines: Marks, count: int, rest: Marks) -> Marks:
    """Leave out what is the paper's, not the pen's, on level lines."""
    lines = lines & marks  # those across the other way may be gone by now
    if not lines.any():
        return marks
    labels, _ = ndimage.label(marks, VERTICAL)
    runs: Numbers = np.bincount(labels.ravel())[labels]  # how far a mark goes
    thick, dark = _quantile(runs[lines]), _quantile(ink[lines])
    if 50 * thick > max(marks.shape):
        return marks
    # The bar of a 7 or a 4 is as straight. But a ruled line is one of many; or lighter
    # than what is written, or longer on both sides.
    if count < 3:
        width = marks.shape[1]
        end = (12 * width + 50) // 100
        longer = not (rest[:, :end].any() or rest[:, width - end :].any())
        if 4 * ink[rest].sum() <= ink[lines].sum():
            return marks
        if not longer and 10 * dark >= 7 * _quantile(ink[rest]):
            return marks
    # Where a stroke crosses the line, the ink goes on above or below: keep it,
    # and ink more than twice as dark, which not even two crossing lines can be.
    return marks & ~(lines & (ink < 2 * dark) & (5 * runs <= 8 * thick + 5))


def _strokes(ink: Numbers, marks: Marks) -> Marks:
    """Keep the marks that a pen may have made on this picture."""
    labels, mass, sizes = _pieces(ink, marks)
    rim = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    contact = np.bincount(rim, minlength=len(mass)) * (mass > 0)
    means, side = mass / np.bincount(labels.ravel()), max(ink.shape)
    # Desk, fingers and the page's edge enter along the border, a digit that was cut
    # out tightly touches it: they go if there is something as dark inside.
    touching = contact > 0
    dark = 10 * means > 3 * means[touching].max(initial=0)
    inside = sizes.max(0)[dark & ~touching].max(initial=0)
    outside = sizes.max(0)[touching].max(initial=0)
    most = len(rim)  # how much of the rim a piece may touch
    if 100 * inside > SMALLEST * side and 4 * inside > outside:
        most = 0
    elif 100 * inside > 8 * side and inside >= 8:
        most = len(rim) // 5
    strokes: Marks = marks & (contact <= most)[labels]
    strokes &= 20 * ink > 13 * _otsu(ink[strokes])[0]
    return strokes


def _pieces(ink: Numbers, marks: Marks) -> tuple[Numbers, Numbers, Numbers]:
    """Label the connected pieces from 1; return their ink, heights and widths, too."""
    labels, _ = ndimage.label(marks, EIGHT)
    boxes = [[s.stop - s.start for s in box] for box in ndimage.find_objects(labels)]
    mass = np.bincount(labels.ravel(), (ink * marks).ravel())
    return labels, mass, np.array([[0, 0], *boxes]).T


def _digit(ink: Numbers, strokes: Marks) -> Marks:
    """Choose the strokes that make up the digit."""
    labels, mass, (heights, widths) = _pieces(ink, strokes)
    if len(mass) == 1:
        raise HandwritingError(NO_DIGIT)
    # Flat marks are what is left of a line or a shadow, for every digit has height.
    best = (mass * np.minimum(1, heights / np.maximum(widths, 1))).argmax()
    # Strokes of one digit lie close together, measured by the digit itself.
    # Digits follow each other across, so a gap across parts them sooner.
    heavy = 100 * mass > 3 * mass[best]
    chosen, grown = np.zeros(len(mass), bool), np.arange(len(mass)) == best
    while (grown != chosen).any():
        chosen = grown.copy()
        digit: Marks = chosen[labels]
        size = max(np.ptp(places) for places in digit.nonzero()) + 1
        reach = [2 * ((part * size + 50) // 100) + 1 for part in (DOWN, ACROSS)]
        near = ndimage.maximum_filter(digit, reach, mode="constant")
        grown[labels[near]] = True
        grown &= heavy
    # Dirt and grain may lie close together, too, but no piece of theirs is a stroke.
    small = 100 * size < SMALLEST * max(ink.shape) or size < 4
    if small or 5 * mass[best] < mass[chosen].sum():
        raise HandwritingError(NO_DIGIT)
    others = heavy & ~chosen & (5 * mass > mass[best])
    if (others & (5 * heights > 2 * heights[best])).any():
        raise HandwritingError(
            "shows more than one digit: leave one, or cut the picture."
        )
    return digit


# ---- from the digit to the frame


def _frame(ink: Numbers, digit: Marks) -> Grey:
    """Fit the digit into 20x20 and centre its mass in 28x28."""
    level = max(1, _quantile(ink[digit], 75))
    near = ndimage.maximum_filter(digit, 3, mode="constant")
    fine = _fit(np.minimum(255, 255 * ink // level) * near, digit)
    # A thin pen would leave grey threads, a thick brush blobs: MNIST has neither.
    for _ in range(2):
        drawn = np.pad(2 * fine > fine.max(), 1)
        edge = np.diff(drawn, axis=0).sum() + np.diff(drawn, axis=1).sum()
        width = 2 * drawn.sum() / (np.pi / 4 * edge)
        change = (min(max(width, THIN * FINE), THICK * FINE) - width) / 2
        if abs(change) < 0.5:
            break
        fine = _thicken(fine, change)
        fine = _fit(fine, 2 * fine > fine.max())
    for axis, side in enumerate(fine.shape):
        fine = np.add.reduceat(fine, range(0, side, FINE), axis)
    frame = np.zeros((FRAME, FRAME), np.uint8)
    frame[: len(fine), : len(fine.T)] = (510 * fine + fine.max()) // (2 * fine.max())
    # The mass goes to the nearest pixel of the centre, and no ink over the edge.
    shifts = CENTRE - np.array(ndimage.center_of_mass(fine)) + 0.5
    shifts = shifts.astype(int).clip(0, FRAME - np.array(fine.shape))
    return np.roll(frame, shifts, axis=(0, 1))


def _fit(ink: Numbers, marks: Marks) -> Numbers:
    """Scale the marked part so that its longer side is that of the fine box."""
    # Means of areas: each old pixel is cut into as many parts as there are new ones,
    # and each new one is made of as many as there are old ones.
    box = ndimage.find_objects(marks.astype(int))[0]
    fitted = ink[box].astype(np.uint8)
    area, longer = fitted.size, max(fitted.shape)
    for old in fitted.shape:
        new = max(1, (2 * old * BOX * FINE + longer) // (2 * longer))
        parts = fitted.repeat(new, axis=0).reshape(new, old, -1)
        fitted = parts.sum(1, dtype=int).T  # turned, so that columns come next
    means: Numbers = (2 * fitted + area) // (2 * area)
    return means


def _thicken(ink: Numbers, radius: float) -> Numbers:
    """Redraw with a nib wider by `radius` pixels on each side (thinner if negative)."""
    reach = int(np.ceil(abs(radius)))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    nib = y**2 + x**2 <= radius**2 + 0.5
    redraw = ndimage.grey_dilation if radius > 0 else ndimage.grey_erosion
    drawn: Numbers = redraw(np.pad(ink, reach), footprint=nib, mode="constant")
    return drawn
