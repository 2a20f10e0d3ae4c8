"""Draw the picture that opens the README: from a page to an answer.

    python tools/make_cover.py

Trains LeNet for one epoch, reads a picture that comes with the package, and draws what
it was given, what it saw, and what it answered, to book/_static/cover.png.
"""

from pathlib import Path

import torch
from matplotlib import pyplot as plt
from PIL import Image

from mnist_lesson import LeNet, Trainer, example_picture, load_mnist, recognize
from mnist_lesson.system import atomic_write

COVER = Path(__file__).parents[1] / "book" / "_static" / "cover.png"


def main() -> None:
    """Train, recognize and draw."""
    torch.manual_seed(0)
    trainer = Trainer(LeNet())
    trainer.fit(load_mnist(source="full").train, epochs=1)
    picture = example_picture("five")
    seen = recognize(trainer.model, picture)

    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(9, 3), width_ratios=(1, 1, 1.3), layout="constrained"
    )
    left.imshow(Image.open(picture))
    middle.imshow(seen.image, cmap="gray", vmin=0, vmax=255)
    for axes, title in (left, "a picture of a digit"), (middle, "in MNIST's own frame"):
        axes.set_title(title, fontsize=14)
        axes.axis("off")
    colors = ["#D55E00" if d == seen.label else "#0072B2" for d in range(10)]
    right.bar(range(10), seen.probabilities.numpy(), color=colors)
    right.set_title(f"LeNet's answer: {seen.label}", fontsize=14)
    right.set(xticks=range(10), xlabel="digit", ylabel="probability", ylim=(0, 1))
    right.spines[["top", "right"]].set_visible(False)
    COVER.parent.mkdir(exist_ok=True)
    with atomic_write(COVER) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


if __name__ == "__main__":
    main()
