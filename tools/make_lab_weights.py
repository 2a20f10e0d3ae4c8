"""Train the models that the book's pages carry, and write them as scripts.

    python -m tools.make_lab_weights

Trains the three models with the settings of results.py, but with 5,000 of the training
digits held out as in the chapters; rounds their parameters to 16-bit floating point,
which halves the files and changes next to nothing; measures the rounded models on the
10,000 test digits; and writes book/_static/labs/weights.js, and examples.js with test
digits to try them on.
"""

import base64
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mnist_lesson import Digits, Trainer, load_mnist
from mnist_lesson._system import atomic_write
from tools.results import MODELS, PROTOCOL

LABS = Path(__file__).parents[1] / "book" / "_static" / "labs"
WEIGHTS, EXAMPLES = LABS / "weights.js", LABS / "examples.js"
ABOUT_WEIGHTS = (
    "The parameters of the three models, written by tools/make_lab_weights.py: "
    "16-bit floating point, little endian, in base64; shapes as in PyTorch. "
    "accuracy: on the 10,000 test digits, with these very numbers."
)
ABOUT_EXAMPLES = (
    "MNIST test digits, written by tools/make_lab_weights.py: of each digit the first "
    "that all three models read, then of each the first that softmax regression "
    "misreads and LeNet does not. Grey levels in base64: 0 for the paper, 255 for ink."
)


def train(name: str, mnist) -> nn.Module:
    """Train a model as results.py does, and round its parameters."""
    torch.manual_seed(0)
    model = MODELS[name].make()
    trainer = Trainer(model, learning_rate=MODELS[name].learning_rate)
    trainer.fit(mnist.train, epochs=PROTOCOL["epochs"], seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    return model.cpu()


def pack(model: nn.Module, accuracy: float) -> dict:
    """Turn a model's parameters into text."""
    tensors = [
        {
            "shape": list(p.shape),
            "data": base64.b64encode(
                p.detach().contiguous().numpy().astype("<f2").tobytes()
            ).decode(),
        }
        for p in model.parameters()
    ]
    return {"accuracy": accuracy, "tensors": tensors}


def unpack(name: str) -> tuple[nn.Module, float]:
    """Read a model back from weights.js, and the accuracy it is said to have."""
    packed = read(WEIGHTS)[name]
    model = MODELS[name].make()
    with torch.no_grad():
        for p, tensor in zip(model.parameters(), packed["tensors"], strict=True):
            values = np.frombuffer(base64.b64decode(tensor["data"]), "<f2")
            p.copy_(torch.from_numpy(values.astype(np.float32)).view(tensor["shape"]))
    return model, packed["accuracy"]


def choose(test: Digits, models: dict[str, nn.Module]) -> Digits:
    """Choose of each digit an easy one, and one that softmax regression misreads."""
    said = {
        name: Trainer(model, device="cpu").predict(test.images).argmax(1).numpy()
        for name, model in models.items()
    }
    hard = (said["softmax regression"] != test.labels) & (said["LeNet"] == test.labels)
    easy = np.all([answers == test.labels for answers in said.values()], axis=0)
    return test[
        [
            int(np.flatnonzero((test.labels == digit) & kind)[0])
            for kind in (easy, hard)
            for digit in range(10)
        ]
    ]


def write(path: Path, about: str, content: dict | list) -> None:
    """Write a script that defines what its name says; a line for each long text."""
    with atomic_write(path) as temporary:
        temporary.write_text(
            f"/* {about} */\n"
            f'lab.define("{path.stem}", {json.dumps(content, indent=1)});\n',
            "utf-8",
        )
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def read(path: Path) -> dict | list:
    """Read what such a script defines."""
    _, content = path.read_text("utf-8").split(f'lab.define("{path.stem}", ')
    return json.loads(content.removesuffix(");\n"))


def main() -> None:
    """Train, measure and write."""
    mnist = load_mnist(source="full")
    models, packed = {}, {}
    for name in MODELS:
        models[name] = train(name, mnist)
        test = Trainer(models[name], device="cpu").evaluate(mnist.test)
        packed[name] = pack(models[name], round(test.accuracy, 4))
        print(f"{name}: {100 * test.accuracy:.2f} %", flush=True)
    write(WEIGHTS, ABOUT_WEIGHTS, packed)
    examples = choose(mnist.test, models)
    write(
        EXAMPLES,
        ABOUT_EXAMPLES,
        [
            {"label": int(label), "image": base64.b64encode(image.tobytes()).decode()}
            for image, label in zip(examples.images, examples.labels, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
