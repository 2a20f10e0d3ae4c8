"""Write the digits that labs learn from into book/_static/labs/digits.js.

They are the sample's: 4,000 to learn from and 1,000 held out, all of them training
digits of MNIST. Four grey levels instead of 256 hardly change what a linear model
learns from them, and all fit into a file of about 310 kB: four pixels that stand above
each other make a byte (columns compress better than rows), and zlib does the rest.

And write means.js, in which three of them are as small as the labs on windows need.

    python tools/make_lab_digits.py
"""

import base64
import json
import re
import sys
import zlib
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from mnist_lesson import load_mnist
from tools.files import store

FILE = Path(__file__).parents[1] / "book" / "_static" / "labs" / "digits.js"
MEANS = FILE.with_name("means.js")
ABOUT_MEANS = (
    "Three digits of MNIST's training set (CC BY-SA 3.0), those with the places 4, 5 "
    "and 7 in the course's sample, as means of 2 x 2 pixels: from 0, paper, to 9, ink. "
    "Written by tools/make_lab_digits.py."
)
STEP = 85  # between grey levels: 0, 85, 170, 255


def few_levels(images: np.ndarray) -> np.ndarray:
    """Round grey levels to the nearest of the four; uint8 (N, 28, 28) to the same."""
    return (np.rint(images / STEP) * STEP).astype(np.uint8)


def small(image: np.ndarray) -> list[list[int]]:
    """Average 2 x 2 pixels; uint8 (28, 28) to (14, 14), from 0 to 9."""
    means = image.reshape(14, 2, 14, 2).mean((1, 3))
    return np.rint(means * 9 / 255).astype(int).tolist()


def main() -> None:
    """Put the labels and the packed images in the place of those that are there."""
    sample = load_mnist(source="sample", validation=0)
    script = FILE.read_text("utf-8")
    for name, digits in ("train", sample.train), ("test", sample.test):
        labels = "".join(map(str, digits.labels))
        script = re.sub(f'{name}: "[0-9]*"', f'{name}: "{labels}"', script)
    images = np.concatenate([sample.train.images, sample.test.images])
    quads = (few_levels(images) // STEP).reshape(-1, 4, 28)  # (rows / 4, 4, columns)
    quads <<= np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    packed = base64.b64encode(zlib.compress(quads.sum(1, dtype=np.uint8), 9)).decode()
    script = re.sub(r'\n}, "[\w+/=]*"', f'\n}}, "{packed}"', script)
    store(FILE, script)
    means = {label: small(sample.train.images[label]) for label in (4, 5, 7)}
    text = json.dumps(means).replace('], "', '],\n"')
    store(MEANS, f'/* {ABOUT_MEANS} */\nlab.define("means", {text});\n')
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
