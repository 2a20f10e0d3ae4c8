"""Train each model beside what a reader would otherwise train it with.

    python benchmarks/peers.py

All take turns, for an epoch of 20,000 digits, in batches of 128, by momentum 0.9 and
weight decay; the median of three counts. Peers that are not installed are left out (pip
install skorch lightning keras scikit-learn). Writes to results/results.json; then
`python tools/results.py --fill` writes the table.
"""

import importlib.util
import json
import logging
import os
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from bench import BATCH, Transformed, timed
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

sys.path.append(str(Path(__file__).parents[1]))
from mnist_lesson import Digits, Trainer, load_mnist, to_input
from mnist_lesson.system import keep_freed_memory
from tools.results import MODELS, RESULTS, save

os.environ["KERAS_BACKEND"] = "torch"
DIGITS, TURNS = 20_000, 3
SGD = {"momentum": 0.9, "weight_decay": 5e-4}
NAMES = {"softmax regression": (), "multilayer perceptron": (128, 64)}  # and units


def usual_lenet() -> nn.Sequential:
    """Make LeNet as it is usually written: ReLU before pooling."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 10)),
    )


def model(name: str) -> nn.Module:
    """Make a model in the usual way."""
    return usual_lenet() if name == "LeNet" else MODELS[name].make()


def tensors(digits: Digits) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale all images at once."""
    return to_input(digits.images), torch.from_numpy(digits.labels)


def descend(model: nn.Module, batches) -> None:
    """Train in a bare loop."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **SGD)
    for images, labels in batches:
        cost = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()


def ours(name: str, digits: Digits) -> None:
    """Train as the course does."""
    Trainer(MODELS[name].make(), device="cpu").fit(digits, epochs=1)


def bare_loop(name: str, digits: Digits) -> None:
    """Train in a bare loop over tensors in memory."""
    images, labels = tensors(digits)
    order = torch.randperm(len(labels)).split(BATCH)
    descend(model(name), ((images[i], labels[i]) for i in order))


def loader(workers: int) -> Callable[[str, Digits], None]:
    """Train in a bare loop over a DataLoader that transforms image by image."""

    def train(name: str, digits: Digits) -> None:
        options = {"shuffle": True, "num_workers": workers}
        descend(model(name), DataLoader(Transformed(digits), BATCH, **options))

    return train


def skorch(name: str, digits: Digits) -> None:
    """Train with skorch, from tensors in memory."""
    from skorch import NeuralNetClassifier

    NeuralNetClassifier(
        model(name),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.1,
        max_epochs=1,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        **{f"optimizer__{key}": value for key, value in SGD.items()},
    ).fit(*tensors(digits))


def lightning(name: str, digits: Digits) -> None:
    """Train with Lightning, from tensors in memory."""
    import lightning as L

    class Module(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model(name)

        def training_step(self, batch, _):
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, **SGD)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar"), False
    )
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet
    )
    trainer.fit(Module(), DataLoader(TensorDataset(*tensors(digits)), BATCH, True))


def keras(name: str, digits: Digits) -> None:
    """Train with Keras on PyTorch, from arrays in memory."""
    import keras

    layers = keras.layers
    body = [
        *(layers.Conv2D(20, 5, activation="relu"), layers.MaxPooling2D()),
        *(layers.Conv2D(50, 5, activation="relu"), layers.MaxPooling2D()),
        layers.Flatten(),
    ]
    if name != "LeNet":
        dense = [layers.Dense(units, activation="relu") for units in NAMES[name]]
        body = [layers.Flatten(), *dense]
    network = keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Dense(10)])
    network.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images, labels = tensors(digits)
    network.fit(
        images.movedim(1, -1).numpy(), labels.numpy(), BATCH, epochs=1, verbose=0
    )


def scikit_learn(name: str, digits: Digits) -> None:
    """Train with scikit-learn, which has no convolutions; softmax by single digits."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.neural_network import MLPClassifier

    images, labels = tensors(digits)
    classifier = (
        MLPClassifier(
            NAMES[name], solver="sgd", batch_size=BATCH, max_iter=1, alpha=5e-4
        )
        if NAMES[name]
        else SGDClassifier(loss="log_loss", max_iter=1, tol=None, alpha=5e-4)
    )
    classifier.fit(images.flatten(1).numpy(), labels.numpy())


WAYS = {  # and what is to be installed
    "this course": (ours, "torch"),
    "a bare loop over tensors": (bare_loop, "torch"),
    "a DataLoader with transforms": (loader(0), "torch"),
    "the same with two workers": (loader(2), "torch"),
    "skorch": (skorch, "skorch"),
    "Lightning": (lightning, "lightning"),
    "Keras on PyTorch": (keras, "keras"),
    "scikit-learn": (scikit_learn, "sklearn"),
}


def main() -> None:
    """Measure and save."""
    warnings.simplefilter("ignore")
    keep_freed_memory()  # for all: our trainer does so, and it holds for the process
    digits = load_mnist(source="full").train[:DIGITS]
    seconds = {}
    for way, (_, package) in WAYS.items():
        if importlib.util.find_spec(package):
            seconds[way] = {name: [] for name in MODELS}
        else:
            print(f"{way} is left out: {package} is not installed", flush=True)
    seconds.get("scikit-learn", {}).pop("LeNet", None)
    for turn in range(TURNS + 1):
        for name in MODELS:
            for way in (way for way, times in seconds.items() if name in times):
                train = WAYS[way][0]
                if turn == 0:  # imports, and whatever else is done only once
                    train(name, digits[: 4 * BATCH])
                    continue
                spent = timed(lambda train=train, name=name: train(name, digits))
                seconds[way][name].append(spent)
                print(f"{name}, {way}: {spent:.2f} s", flush=True)
    results = json.loads(RESULTS.read_text("utf-8"))
    results["peers"] = {
        way: {name: statistics.median(times) for name, times in of.items()}
        for way, of in seconds.items()
    }
    save(results)


if __name__ == "__main__":
    main()
