"""Train the network that tells digits from what is none, and store it in the package.

    python -m tools.make_outliers

Draws 60,000 outliers: scribbles, made-up characters, shapes, letters, two digits side
by side, and digits mirrored or turned. Trains the detector on them and on MNIST's
training digits; moves its bias so that 1 in 200 validation digits is refused; rounds it
to 16 bits; and writes mnist_lesson/outliers.npz. A few minutes on one core, no GPU.
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from mnist_lesson import Digits, RandomDistortion, load_mnist, to_input
from mnist_lesson.handwriting import BOX, CENTRE, FINE, FRAME, THICK, THIN
from mnist_lesson.outliers import FILE, make_detector, outlier_scores
from mnist_lesson.system import atomic_write

REFUSED = 1 / 200  # of the validation digits
OUTLIERS, EPOCHS, BATCH = 60_000, 5, 256
FINE_BOX = BOX * FINE  # pixels of the fine picture that a drawing fills
# Letters that look like no digit. DejaVu Sans is left out, to measure with.
LETTERS = "ACEFHJKLMNPRTUVWXYacdefhjkmnprtuvwxy"
FONTS = [
    str(path)
    for path in sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf"))
    if path.stem.startswith(("DejaVuSerif", "STIXGeneral", "cmr", "cmss", "cmtt"))
    and "Display" not in path.stem
]
# Which digits are none when mirrored, and when turned by 90 degrees.
MIRRORED, TURNED = (2, 3, 4, 5, 6, 7, 9), (2, 3, 4, 5, 7)

OVAL = 60  # so many corners that it looks round
POINTS = np.stack(np.divmod(range(9), 3), axis=1) / 2  # a grid that characters use

Random = np.random.Generator
Strokes = list[np.ndarray]  # each a path of points, (n, 2): x and y


def scribble(random: Random) -> Strokes:
    """Join random points by one or two lines, angular or smooth."""
    strokes = []
    for _ in range(random.integers(1, 3)):
        corners = random.uniform(size=(random.integers(3, 14), 2))
        places = np.linspace(0, len(corners) - 1, 12 * len(corners))
        path = np.stack([np.interp(places, range(len(c)), c) for c in corners.T], 1)
        width = 12 * random.choice([0.01, 0.4, 0.6])
        strokes.append(ndimage.gaussian_filter1d(path, width, axis=0, mode="nearest"))
    return strokes


def character(random: Random) -> Strokes:
    """Make up a character: a few bars and arcs between the points of a grid."""
    strokes: Strokes = []
    for _ in range(random.integers(2, 5)):
        start, end = random.choice(POINTS, 2, replace=False)
        if strokes and random.random() < 0.5:
            start = strokes[-1][-1]
        t = np.linspace(0, 1, 12)[:, None]
        across = np.array([start[1] - end[1], end[0] - start[0]])
        bend = random.choice([0, 0, 0, -0.8, 0.8])
        strokes.append(start + (end - start) * t + 2 * t * (1 - t) * bend * across)
    narrow_and_lean = [[random.uniform(0.5, 1.1), 0], [random.normal(-0.1, 0.2), 1]]
    return [stroke @ narrow_and_lean for stroke in strokes]


def shape(random: Random) -> Strokes:
    """Draw an outline, angular or oval, with a few marks inside."""
    corners = random.choice([3, 4, 5, 6, OVAL])
    turn = random.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) / corners
    outline = np.stack([np.cos(turn), np.sin(turn)], 1) * random.uniform(0.7, 1.3, 2)
    if corners < OVAL:
        outline *= random.uniform(0.7, 1.3, (corners, 1))
    strokes = [np.concatenate([outline, outline[:1]])]
    for _ in range(random.integers(corners == OVAL, 5)):  # an empty oval is a zero
        start = random.uniform(-0.5, 0.5, 2)
        strokes.append(np.stack([start, start + random.uniform(-0.5, 0.5, 2)]))
    return strokes


def draw(strokes: Strokes, random: Random) -> np.ndarray:
    """Draw strokes on a fine sheet, with a pen as wide as `load_digit` makes it."""
    pen = FINE * random.triangular(THIN, THIN, THICK)  # thin ones more often
    low, high = (end(np.concatenate(strokes), axis=0) for end in (np.min, np.max))
    scale = (FINE_BOX - pen) / max((high - low).max(), 0.1)
    sheet = Image.new("L", tuple(np.ceil((high - low) * scale + pen).astype(int)))
    on = ImageDraw.Draw(sheet)
    for stroke in strokes:
        points = [(x, y) for x, y in (stroke - low) * scale + pen / 2]
        on.line(points, fill=255, width=round(pen), joint="curve")
        for x, y in points[0], points[-1]:  # a line's own ends are cut off straight
            on.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    return np.asarray(sheet)[:FINE_BOX, :FINE_BOX]


def letter(random: Random) -> np.ndarray:
    """Print a letter, leaning and more or less narrow."""
    font = ImageFont.truetype(random.choice(FONTS), 90)
    sheet = Image.new("L", (200, 200))
    on = ImageDraw.Draw(sheet)
    on.text((100, 100), random.choice([*LETTERS]), fill=255, font=font, anchor="mm")
    lean = random.normal(0.1, 0.2)
    affine = 1, lean, -100 * lean, 0, 1, 0
    sheet = sheet.transform(sheet.size, Image.Transform.AFFINE, affine, 2)
    return fitted(np.asarray(sheet), random.uniform(0.75, 1))


def pair(random: Random, digits: Digits) -> np.ndarray:
    """Put two digits side by side; they may touch."""
    left, right = digits.images[random.choice(len(digits), 2)]
    left, right = left[:, left.any(axis=0)], right[:, right.any(axis=0)]
    start = max(0, left.shape[1] + random.integers(-4, 4))
    both = np.zeros((FRAME, 2 * FRAME), np.uint8)
    both[:, : left.shape[1]] = left
    place = both[:, start : start + right.shape[1]]
    np.maximum(place, right, out=place)
    return fitted(both) * random.uniform(1, 2)  # lines get thin when they are shrunk


def turned(random: Random, digits: Digits) -> np.ndarray:
    """Mirror a digit, or turn it by 90 degrees."""
    while True:
        one = random.integers(len(digits))
        image, label = digits.images[one], digits.labels[one]
        if label in TURNED and random.random() < 0.5:
            return fitted(np.rot90(image, random.choice([1, 3])))
        if label in MIRRORED:
            return fitted(image[:, ::-1])


def fitted(image: np.ndarray, narrow: float = 1) -> np.ndarray:
    """Crop to the ink, and scale so that the longer side is that of the fine box."""
    cropped = Image.fromarray(image)
    cropped = cropped.crop(cropped.getbbox())
    scale = FINE_BOX / max(cropped.size)
    width, height = round(narrow * scale * cropped.width), round(scale * cropped.height)
    return np.asarray(cropped.resize((max(1, width), max(1, height))), float)


def framed(fine: np.ndarray) -> np.ndarray:
    """Shrink what is in the fine box, and centre its mass in MNIST's frame."""
    image = np.zeros((FRAME * FINE, FRAME * FINE))
    image[: len(fine), : len(fine.T)] = fine.clip(0, 255)
    image = image.reshape(FRAME, FINE, FRAME, FINE).mean(axis=(1, 3))
    shifts = CENTRE - np.array(ndimage.center_of_mass(image)) + 0.5
    most = FRAME - np.ceil(np.array(fine.shape) / FINE).astype(int)
    image = np.roll(image, shifts.astype(int).clip(0, most), axis=(0, 1))
    return (255 * image / image.max()).round().astype(np.uint8)


def make_outliers(count: int, digits: Digits, seed: int = 0) -> np.ndarray:
    """Draw outliers of all kinds, uint8 (count, 28, 28)."""
    random = np.random.default_rng(seed)
    makers = {
        lambda: draw(scribble(random), random): 0.3,
        lambda: draw(character(random), random): 0.2,
        lambda: draw(shape(random), random): 0.15,
        lambda: letter(random): 0.2,
        lambda: pair(random, digits): 0.1,
        lambda: turned(random, digits): 0.05,
    }
    chosen = random.choice(len(makers), count, p=[*makers.values()])
    return np.stack([framed([*makers][kind]()) for kind in chosen])


def train(
    detector: nn.Module, digits: np.ndarray, outliers: np.ndarray, epochs: int
) -> None:
    """Teach it: scores below 0 for digits, above 0 for outliers; all bent anew."""
    torch.manual_seed(0)
    images = torch.from_numpy(np.concatenate([digits, outliers]))
    outlier = torch.cat([torch.zeros(len(digits)), torch.ones(len(outliers))])
    bend = RandomDistortion(bend=0.15, shift=0.6)
    steps = epochs * -(-len(images) // BATCH)
    optimizer = torch.optim.SGD(
        detector.parameters(), lr=0.08, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.08, total_steps=steps)
    for epoch in range(epochs):
        costs = []
        for batch in torch.randperm(len(images)).split(BATCH):
            scores = detector(bend(to_input(images[batch])))[:, 0]
            cost = F.binary_cross_entropy_with_logits(scores, outlier[batch])
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()
            schedule.step()
            costs.append(cost.item())
        print(f"epoch {epoch + 1}: training cost {np.mean(costs):.3f}", flush=True)


def store(detector: nn.Sequential, validation: Digits) -> None:
    """Round the weights, let 1 in 200 validation digits be above 0, and write them."""
    detector.half().float().eval()
    with torch.no_grad():
        scores = detector(to_input(validation.images))[:, 0]
        detector[-1].bias -= np.quantile(scores, 1 - REFUSED, method="midpoint")
    weights = {
        k: v.numpy().astype(np.float16) for k, v in detector.state_dict().items()
    }
    with atomic_write(FILE) as temporary, open(temporary, "wb") as file:
        np.savez(file, **weights)  # given a name, it would add .npz to it


def main() -> None:
    """Draw, train, store, and measure what is stored."""
    mnist = load_mnist(source="full")
    torch.manual_seed(0)
    detector = make_detector()
    outliers = make_outliers(OUTLIERS, mnist.train)
    train(detector, mnist.train.images, outliers, EPOCHS)
    store(detector, mnist.validation)
    fresh = make_outliers(2_000, mnist.validation, seed=1)
    for name, images in {
        "validation digits": mnist.validation.images,
        "test digits": mnist.test.images,
        "new outliers of the same kinds": fresh,
    }.items():
        refused = (outlier_scores(images) > 0).float().mean()
        print(f"{name}: {100 * refused:.2f} % refused")
    print(f"{FILE.name}: {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
