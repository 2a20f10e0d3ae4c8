"""The models in the page: the same numbers as PyTorch's, in a real browser."""

import base64
import os

import numpy as np
import pytest
import torch

from mnist_lesson import Trainer, load_mnist, to_input
from tools import make_lab_weights
from tools.make_lab_weights import EXAMPLES, MODELS, WEIGHTS

SOURCE = "full" if os.environ.get("MNIST_LESSON_DATA") else "sample"
START = """async (digits) => {
    const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    Object.assign(window, await lab.load("models"));
    window.images = digits.map((text) => lab.toInput(decode(text)));
}"""


@pytest.fixture(scope="module")
def judged():
    return load_mnist(source=SOURCE).test


@pytest.fixture(scope="module")
def digits(judged):
    return judged[:1000]


@pytest.fixture(scope="module")
def trained():
    """The models with the page's weights, in PyTorch, and their stated accuracies."""
    return {name: make_lab_weights.unpack(name) for name in MODELS}


@pytest.fixture
def loaded(lab, digits):
    """A page that has the models, and the digits as inputs."""
    page = lab("nothing", wait=False)
    page.evaluate(START, [base64.b64encode(i).decode() for i in digits.images])
    return page


def test_the_logits_are_pytorchs(loaded, digits, trained):
    assert loaded.evaluate("models.map((model) => model.name)") == list(MODELS)
    for n, (model, _) in enumerate(trained.values()):
        logits = loaded.evaluate(
            "(n) => images.map((image) => [...models[n].logits(image)])", n
        )
        with torch.no_grad():
            expected = model(to_input(digits.images)).numpy()
        assert np.shape(logits) == (1000, 10)
        assert np.abs(logits - expected).max() < 1e-4


def test_the_feature_maps_are_pytorchs(loaded, digits, trained):
    found = loaded.evaluate(
        """() => models[2].featureMaps(images[0])
            .map(({ maps, side, values }) => [maps, side, [...values]])"""
    )
    lenet, _ = trained["LeNet"]
    for end, (maps, side, values) in zip((3, 6), found, strict=True):
        with torch.no_grad():
            expected = lenet[:end](to_input(digits.images[:1]))[0].numpy()
        assert expected.shape == (maps, side, side)
        assert np.abs(np.reshape(values, expected.shape) - expected).max() < 1e-4


def test_the_probabilities_are_pytorchs(loaded):
    logits = [1000.0, 999.0, -3.0, 0.0, 998.5]
    found = loaded.evaluate("(logits) => softmax(logits)", logits)
    expected = torch.tensor(logits).softmax(0).numpy()
    assert np.abs(found - expected).max() < 1e-6


def test_the_models_are_as_good_as_stated(judged, trained):
    for model, stated in trained.values():
        accuracy = Trainer(model, device="cpu").evaluate(judged).accuracy
        # PyTorch on another machine may see one or two close cases differently.
        assert accuracy == pytest.approx(stated, abs=2e-4 if SOURCE == "full" else 0.04)
    stated = [accuracy for _, accuracy in trained.values()]
    assert stated == sorted(stated) and stated[0] > 0.92 and stated[2] > 0.99


def test_a_model_survives_packing(tmp_path, monkeypatch, trained):
    model, accuracy = trained["multilayer perceptron"]
    monkeypatch.setattr(make_lab_weights, "WEIGHTS", tmp_path / "weights.js")
    packed = {"multilayer perceptron": make_lab_weights.pack(model, accuracy)}
    make_lab_weights.write(make_lab_weights.WEIGHTS, "About (this).", packed)
    again, stated = make_lab_weights.unpack("multilayer perceptron")
    assert stated == accuracy
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_files_are_small():
    assert WEIGHTS.stat().st_size <= 700_000
    assert EXAMPLES.stat().st_size <= 25_000


def test_the_examples_are_two_of_each_digit(trained):
    examples = make_lab_weights.read(EXAMPLES)
    labels = [example["label"] for example in examples]
    assert labels == [*range(10)] * 2
    images = [np.frombuffer(base64.b64decode(e["image"]), np.uint8) for e in examples]
    images = np.reshape(images, (20, 28, 28))
    with torch.no_grad():
        said = [model(to_input(images)).argmax(1) for model, _ in trained.values()]
    assert said[2].tolist() == labels
    assert said[0].tolist()[:10] == labels[:10]
    assert not np.equal(said[0].tolist()[10:], labels[10:]).any()
