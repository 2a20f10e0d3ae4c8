"""The models in the page: the same numbers as PyTorch's, in a real browser."""

import base64
import os

import numpy as np
import pytest
import torch
from torch import nn

from mnist_lesson import Trainer, load_mnist, to_input
from mnist_lesson.outliers import outlier_scores
from tools.make_lab_weights import EXAMPLES, MODELS, WEIGHTS, pack, read, unpack

SOURCE = "full" if os.environ.get("MNIST_LESSON_DATA") else "sample"


@pytest.fixture(scope="module")
def judged():
    return load_mnist(source=SOURCE).test


@pytest.fixture(scope="module")
def trained():
    """The models with the page's weights, in PyTorch, and their stated accuracies."""
    return {name: unpack(name) for name in MODELS}


def test_logits_and_outputs_of_layers_are_pytorchs(lab, judged, trained):
    names, logits, layers = lab("nothing", wait=False).evaluate(
        """async (digits) => {
            const { models } = await lab.load("models");
            const images = digits.map((text) => lab.toInput(lab.bytes(text)));
            return [models.map(({ name }) => name),
                models.map((model) => images.map((image) => [...model.logits(image)])),
                models[2].outputs(images[0]).map(({ maps, side, values }) =>
                    [maps, side, [...values]])];
        }""",
        [base64.b64encode(image).decode() for image in judged.images[:300]],
    )
    inputs = to_input(judged.images[:300])
    assert names == list(MODELS) == list(trained)
    for found, (model, _) in zip(logits, trained.values(), strict=True):
        with torch.no_grad():
            expected = model(inputs).numpy()
        assert np.shape(found) == (300, 10)
        assert np.abs(found - expected).max() < 1e-4
    lenet, _ = trained["LeNet"]
    x = inputs[:1]
    for layer, (maps, side, values) in zip(lenet, layers, strict=True):
        with torch.no_grad():
            x = layer(x)
        shape = x[0].shape if x.dim() == 4 else (x.shape[1], 1, 1)
        assert shape == (maps, side, side)
        assert np.abs(values - x.flatten().numpy()).max() < 1e-4


def test_gradients_with_respect_to_the_pixels_are_autograds(lab, judged, trained):
    weights = [0.5, -1, 0, 2, 0, 0, 0, 1, 0, -3]
    found = lab("nothing", wait=False).evaluate(
        """async ([digits, weights]) => {
            const { models } = await lab.load("models");
            const images = digits.map((text) => lab.toInput(lab.bytes(text)));
            return models.map((model) => images.map((image) =>
                [...model.gradient(image, Float32Array.from(weights))]));
        }""",
        [[base64.b64encode(image).decode() for image in judged.images[:20]], weights],
    )
    for (model, _), slopes in zip(trained.values(), found, strict=True):
        x = to_input(judged.images[:20]).requires_grad_()
        (model(x) @ torch.tensor(weights)).sum().backward()
        expected = x.grad.flatten(1).numpy()
        assert np.abs(expected).max() > 0.1
        assert np.abs(slopes - expected).max() < 1e-4


@pytest.mark.parametrize("padding", [0, 2])
def test_gradients_of_other_layers_are_autograds(lab, padding):
    """Of layers that none of the three models has: padding, a stride, tanh."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 5, stride=2, padding=padding), nn.Tanh()),
        *(nn.MaxPool2d(3, stride=2), nn.Flatten(), nn.LazyLinear(10)),
    )
    image = torch.rand(1, 1, 28, 28, requires_grad=True)
    model(image)  # now the last layer knows its size
    model.half().float()  # as the page's numbers are
    weights = torch.arange(10.0)
    (model(image) @ weights).sum().backward()
    found = lab("nothing", wait=False).evaluate(
        """async ([layers, image, weights]) => {
            const { network } = await lab.load("models");
            return [...network({ layers }).gradient(
                Float32Array.from(image), Float32Array.from(weights))];
        }""",
        [pack(model), image.flatten().tolist(), weights.tolist()],
    )
    assert np.abs(found - image.grad.flatten().numpy()).max() < 1e-4


def test_the_scores_of_outliers_are_the_packages(lab, judged):
    """On digits, and on what is none."""
    images = [*judged.images[:50], *np.rot90(judged.images[:50], axes=(1, 2))]
    found = lab("nothing", wait=False).evaluate(
        """async (digits) => {
            const { network } = await lab.load("models");
            const detector = network(await lab.load("detector"));
            return digits.map((text) =>
                detector.logits(lab.toInput(lab.bytes(text)))[0]);
        }""",
        [base64.b64encode(np.ascontiguousarray(image)).decode() for image in images],
    )
    expected = outlier_scores(np.stack(images)).numpy()
    assert np.abs(found - expected).max() < 1e-4 and (expected > 0).sum() > 10


def test_the_probabilities_are_pytorchs(lab):
    logits = [1000.0, 999.0, -3.0, 0.0, 998.5]
    found = lab("nothing", wait=False).evaluate(
        "async (logits) => (await lab.load('models')).softmax(logits)", logits
    )
    assert np.abs(found - torch.tensor(logits).softmax(0).numpy()).max() < 1e-6


def test_the_models_are_as_good_as_stated(judged, trained):
    for model, stated in trained.values():
        accuracy = Trainer(model, device="cpu").evaluate(judged).accuracy
        # PyTorch on another machine may see one or two close cases differently.
        assert accuracy == pytest.approx(stated, abs=2e-4 if SOURCE == "full" else 0.04)
    stated = [accuracy for _, accuracy in trained.values()]
    assert stated == sorted(stated) and stated[0] > 0.92 and stated[2] > 0.99


def test_the_examples_are_two_of_each_digit(trained):
    """Ten that all models read, and ten that softmax regression misreads."""
    examples = read(EXAMPLES)["digits"]
    labels = [example["label"] for example in examples]
    assert labels == [*range(10)] * 2
    images = [np.frombuffer(base64.b64decode(e["image"]), np.uint8) for e in examples]
    inputs = to_input(np.reshape(images, (20, 28, 28)))
    with torch.no_grad():
        said = [model(inputs).argmax(1).numpy() for model, _ in trained.values()]
    assert said[2].tolist() == labels
    assert said[0].tolist()[:10] == labels[:10]
    assert (said[0][10:] != labels[10:]).all()


def test_the_files_are_small():
    assert WEIGHTS.stat().st_size <= 250_000
    assert EXAMPLES.stat().st_size <= 25_000
