"""The models in the page: the same numbers as PyTorch's, in a real browser."""

import base64
import os

import numpy as np
import pytest
import torch
from test_labs import lab  # noqa: F401

from mnist_lesson import load_mnist, to_input
from tools import make_lab_weights
from tools.make_lab_weights import MODELS

SAMPLE = "full" if os.environ.get("MNIST_LESSON_DATA") else "sample"
START = """async (digits) => {
    const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    window.labModels = await lab.load("models");
    window.images = digits.map((text) => labModels.toInput(decode(text)));
}"""


@pytest.fixture(scope="module")
def digits():
    """A thousand digits that the models never saw (of the sample: mostly saw)."""
    return load_mnist(source=SAMPLE).test[:1000]


@pytest.fixture(scope="module")
def trained():
    """The models with the page's weights, in PyTorch."""
    return {name: make_lab_weights.unpack(name) for name in MODELS}


@pytest.fixture
def loaded(lab, digits):  # noqa: F811
    """A page that has the models, and the digits as inputs."""
    page = lab("nothing", wait=False)
    page.evaluate(
        START, [base64.b64encode(i.tobytes()).decode() for i in digits.images]
    )
    return page


def test_the_logits_are_pytorchs(loaded, digits, trained):
    assert loaded.evaluate("labModels.models.map(m => m.name)") == list(MODELS)
    inputs = to_input(digits.images)
    for n, (model, _) in enumerate(trained.values()):
        logits = loaded.evaluate(
            "(n) => images.map((i) => [...labModels.models[n].logits(i)])", n
        )
        with torch.no_grad():
            expected = model.eval()(inputs).numpy()
        assert np.abs(np.array(logits) - expected).max() < 1e-4
