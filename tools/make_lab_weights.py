"""Train the models that the book's pages carry, and write them as scripts.

    python -m tools.make_lab_weights [--all]

Trains each that is not there yet, or all, with the settings of results.py, but with
5,000 of the training digits held out as in the chapters; rounds its parameters, large
layers to 8 bits, which changes the answer to about one digit in a thousand; measures
the rounded models on the 10,000 test digits; and writes book/_static/labs/weights.js,
which lists their layers, detector.js with those of the package's detector of outliers,
and examples.js with test digits to try them on.
"""

import base64
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mnist_lesson import Digits, Trainer, load_mnist
from mnist_lesson.outliers import load_detector
from tools import results
from tools.files import store

LABS = Path(__file__).parents[1] / "book" / "_static" / "labs"
WEIGHTS, EXAMPLES = LABS / "weights.js", LABS / "examples.js"
DETECTOR = LABS / "detector.js"
MODELS = {
    **results.MODELS,  # one more for the page is a row: "name": Experiment(make, rate)
}
LARGEST = 127  # of the whole numbers of 8 bits, both ways
# What models.js can build, and what it must know of each kind of layer.
LAYERS = {
    **dict.fromkeys(("Flatten", "Linear", "ReLU", "Tanh"), ()),
    "MaxPool2d": ("kernel_size", "stride"),
    "Conv2d": ("kernel_size", "stride", "padding"),
}
ABOUT_WEIGHTS = (
    "The models' layers, written by tools/make_lab_weights.py; parameters in PyTorch's "
    "order, in base64: whole numbers of 8 bits, to be multiplied by their step, or "
    "16-bit floating point, little endian. "
    "accuracy: on the 10,000 test digits, with these very numbers."
)
ABOUT_DETECTOR = (
    "The layers of mnist_lesson.outliers' network, written by "
    "tools/make_lab_weights.py, as in weights.js: one score, above 0 for pictures "
    "unlike any digit."
)
ABOUT_EXAMPLES = (
    "What the pad shows at once, written by tools/make_lab_weights.py: the models' "
    "test accuracies, and MNIST test digits, of each the first that all models read, "
    "then of each the first that softmax regression misreads and LeNet does not. "
    "Grey levels in base64: 0 for the paper, 255 for ink; of the one that the pad "
    "opens with also when each pixel was written, from 0 to 255."
)
OPENING = 15  # of the examples: the three models don't agree about it
# The way of the pen that may have written it, as (column, row).
WAY = [
    *((23, 6), (16, 6.5), (12, 8), (6, 12.5), (6, 14.5), (9, 15.7), (18, 16.5)),
    *((18.5, 19), (16, 21.5), (13.5, 20.5), (13.5, 18.5)),
]


def train(name: str, mnist) -> nn.Module:
    """Train a model as results.py does, and round its parameters."""
    torch.manual_seed(0)
    model = MODELS[name].make()
    trainer = Trainer(model, learning_rate=MODELS[name].learning_rate)
    trainer.fit(mnist.train, epochs=results.PROTOCOL["epochs"], seed=0)
    return round_parameters(model.cpu())


@torch.no_grad()
def round_parameters(model: nn.Module) -> nn.Module:
    """Round many numbers to 255 equal steps, around 0; few, to 16-bit floating point.

    If LeNet's first kernels had whole numbers, as pixels do, two places of a window
    would often be its largest.
    """
    for numbers in model.parameters():
        step = numbers.abs().max() / LARGEST
        many = numbers.numel() > 1_000
        numbers.copy_((numbers / step).round() * step if many else numbers.half())
    return model


def pack(model: nn.Module) -> list[dict]:
    """Describe a model's layers, their parameters as text."""
    layers = []
    for layer in model:
        described = {"kind": type(layer).__name__}
        for name in LAYERS[described["kind"]]:  # the same in both directions
            described[name] = int(np.ravel(getattr(layer, name))[0])
        for name, parameter in layer.state_dict().items():
            described[name] = pack_numbers(parameter.numpy())
        layers.append(described)
    return layers


def pack_numbers(numbers: np.ndarray) -> dict | str:
    """Describe rounded numbers: 16-bit floating point, or whole numbers of a step."""
    halves = numbers.astype("<f2")
    if (halves == numbers).all():
        return encode(halves)
    step = float(np.abs(numbers).max()) / LARGEST
    return {"step": step, "whole": encode(np.rint(numbers / step).astype(np.int8))}


def unpack_numbers(packed: dict | str) -> np.ndarray:
    """Read such numbers back."""
    if isinstance(packed, str):
        return np.frombuffer(base64.b64decode(packed), "<f2").astype(np.float32)
    whole = np.frombuffer(base64.b64decode(packed["whole"]), np.int8)
    return (packed["step"] * whole).astype(np.float32)


def encode(numbers: np.ndarray) -> str:
    """Turn numbers into text, byte by byte."""
    return base64.b64encode(numbers.tobytes()).decode()


def unpack(name: str) -> tuple[nn.Module, float]:
    """Read a model back from weights.js, and the accuracy it is said to have."""
    packed = read(WEIGHTS)[name]
    model = MODELS[name].make()
    for layer, described in zip(model, packed["layers"], strict=True):
        for key, parameter in layer.state_dict().items():
            values = unpack_numbers(described[key])
            parameter.copy_(torch.from_numpy(values).view_as(parameter))
    return model, packed["accuracy"]


def choose(test: Digits, models: dict[str, nn.Module]) -> Digits:
    """Choose of each digit an easy one, and one that softmax regression misreads."""
    right = {
        name: Trainer(model, device="cpu").predict(test.images).argmax(1).numpy()
        == test.labels
        for name, model in models.items()
    }
    easy = np.all(list(right.values()), axis=0)
    hard = ~right["softmax regression"] & right["LeNet"]
    kinds = [kind & (test.labels == n) for kind in (easy, hard) for n in range(10)]
    return test[[int(np.flatnonzero(kind)[0]) for kind in kinds]]


def when_written() -> np.ndarray:
    """Say when the pen is at each pixel, that is, at the nearest point of its way."""
    counts = [round(4 * np.hypot(*np.subtract(*line))) for line in pairwise(WAY)]
    lines = zip(pairwise(WAY), counts, strict=True)
    parts = [np.linspace(*line, count, endpoint=False) for line, count in lines]
    points = np.concatenate(parts)
    rows, columns = np.indices((28, 28))[..., None]
    nearest = np.hypot(columns - points[:, 0], rows - points[:, 1]).argmin(-1)
    return (255 * nearest / len(points)).astype(np.uint8)


def write(path: Path, about: str, content: dict) -> None:
    """Write a script that defines what its name says; a line for a layer or a digit."""
    text = json.dumps(content).replace(" {", "\n{")
    store(path, f'/* {about} */\nlab.define("{path.stem}", {text});\n')
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def read(path: Path) -> dict:
    """Read what such a script defines."""
    _, content = path.read_text("utf-8").split(f'lab.define("{path.stem}", ')
    return json.loads(content.removesuffix(");\n"))


def main(arguments: list[str]) -> None:
    """Train, measure and write."""
    if arguments not in ([], ["--all"]):
        raise SystemExit(__doc__)
    mnist = load_mnist(source="full")
    known = {} if arguments else read(WEIGHTS)
    for name in (name for name in MODELS if name not in known):
        model = train(name, mnist)
        test = Trainer(model, device="cpu").evaluate(mnist.test)
        accuracy = round(test.accuracy, 4)
        known[name] = {"accuracy": accuracy, "layers": pack(model)}
    write(WEIGHTS, ABOUT_WEIGHTS, {name: known[name] for name in MODELS})
    write(DETECTOR, ABOUT_DETECTOR, {"layers": pack(load_detector())})
    accuracies = {name: known[name]["accuracy"] for name in MODELS}
    chosen = choose(mnist.test, {name: unpack(name)[0] for name in MODELS})
    digits = [
        {"label": int(label), "image": encode(image)}
        for image, label in zip(chosen.images, chosen.labels, strict=True)
    ]
    digits[OPENING]["written"] = encode(when_written())
    write(EXAMPLES, ABOUT_EXAMPLES, {"accuracies": accuracies, "digits": digits})


if __name__ == "__main__":
    main(sys.argv[1:])
