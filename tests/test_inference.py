"""What a model makes of digits."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from trainers import Dropping, make, same, weights

from mnist_lesson import (
    Digits,
    LeNet,
    SoftmaxRegression,
    Trainer,
    example_picture,
    recognize,
    to_input,
)


def test_evaluate_and_predict(sample):
    """More digits than are computed at a time, in an uneven number."""
    digits = Digits(
        np.concatenate([sample.test.images, sample.train.images[:234]]),
        np.concatenate([sample.test.labels, sample.train.labels[:234]]),
    )
    trainer, labels = make(LeNet), torch.from_numpy(digits.labels)
    with torch.no_grad():
        logits = trainer.model(to_input(digits.images))
    judged, cost = trainer.evaluate(digits), F.cross_entropy(logits, labels).item()
    assert judged.cost == pytest.approx(cost, rel=1e-5)
    correct = np.count_nonzero(logits.argmax(1).numpy() == digits.labels)
    assert judged.accuracy == correct / 1234  # to the last bit
    probabilities = trainer.predict(digits.images)
    assert probabilities.dtype == torch.float32 and probabilities.shape == (1234, 10)
    assert torch.allclose(probabilities, logits.softmax(dim=1), atol=1e-5)
    one = digits.images[7]
    assert torch.equal(trainer.predict(one), trainer.predict(one[None]))


def test_probabilities_can_be_worked_on(few):
    """They are ordinary tensors: a learner may go on computing with them."""
    probabilities = make().predict(few.images)
    scale = torch.ones(10, requires_grad=True)
    (probabilities * scale).sum().backward()
    assert torch.allclose(scale.grad, probabilities.sum(0))


@pytest.mark.parametrize("training", [True, False])
def test_layers_keep_their_modes(few, training):
    """Dropout is off while judging, and a frozen normalization stays frozen after."""
    layers = nn.BatchNorm1d(784), nn.Dropout(0.5), nn.Linear(784, 10)
    model = nn.Sequential(nn.Flatten(), *layers)
    trainer = Trainer(model, device="cpu")
    model.train(training)
    model[1].eval()
    before = [layer.training for layer in model.modules()]
    assert trainer.evaluate(few) == trainer.evaluate(few)
    assert torch.equal(trainer.predict(few.images), trainer.predict(few.images))
    assert [layer.training for layer in model.modules()] == before


def test_threads_that_ask_at_once_get_the_same_answers(few):
    """As a demo's visitors do; what trained last is in training mode."""
    layers = nn.BatchNorm1d(784), nn.Linear(784, 10)
    trainer = Trainer(nn.Sequential(nn.Flatten(), *layers), device="cpu")
    trainer.fit(few, epochs=1)
    state = {name: x.clone() for name, x in trainer.model.state_dict().items()}
    pictures = [few.images[n % 300] for n in range(1_000)]
    expected = trainer.predict(np.stack(pictures))
    with ThreadPoolExecutor(4) as pool:
        answers = torch.cat([*pool.map(trainer.predict, pictures)])
    assert torch.allclose(answers, expected, atol=1e-5)
    assert all(torch.equal(x, state[n]) for n, x in trainer.model.state_dict().items())


def test_answers_and_steps_of_training_may_be_asked_for_at_once(few):
    """What is dropped is dropped in the steps alone."""
    alone, asked = make(Dropping), make(Dropping)
    settings = {"epochs": 2, "batch_size": 8}
    alone.fit(few, **settings)
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(asked.fit, few, **settings)
        while not training.done():
            asked.predict(few.images[:50])
    assert training.result() and same(weights(asked), weights(alone))


def test_a_trained_model_recognizes(sample):
    """Real digits, two epochs: far above chance, as no broken trainer would be."""
    trainer = make(LeNet)
    trainer.fit(sample.train, epochs=2, batch_size=64)
    assert trainer.evaluate(sample.test).accuracy > 0.8
    seen = recognize(trainer.model, example_picture("seven"))
    assert seen.label == 7 == int(seen.probabilities.argmax())
    assert seen.image.shape == (28, 28) and seen.image.dtype == np.uint8
    assert torch.equal(seen.probabilities, trainer.predict(seen.image)[0])


def test_models_whose_numbers_are_not_in_parameters():
    """None at all, or packed away."""
    pooled = nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10))
    for model in pooled, torch.jit.script(LeNet()):
        seen = recognize(model, example_picture("three"))
        assert seen.label == int(Trainer(model).predict(seen.image).argmax())


def test_what_is_refused(few):
    model, picture = SoftmaxRegression(), example_picture("three")
    with pytest.raises(
        TypeError, match=r"recognize takes .* its class: write LeNet\(\)"
    ):
        recognize(LeNet, picture)
    for what in few.images, Digits, "full":
        with pytest.raises(TypeError, match="evaluate takes Digits"):
            Trainer(model).evaluate(what)
    with pytest.raises(ValueError, match="no digits to evaluate"):
        Trainer(model).evaluate(few[:0])
    model[1].weight.data[:] = torch.nan
    with pytest.raises(FloatingPointError, match="answer is not a number"):
        recognize(model, picture)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda x: x.flatten(1)[:, :9], r"\(300, 9\)"),
        (lambda x: (x.flatten(1)[:, :10],), "a tuple"),
        (lambda x: None, "a NoneType"),
        (lambda x: x.flatten(1)[:1, :10], r"\(1, 10\)"),
        (lambda x: x.flatten(1)[:, :10] + 1j, r"complex \(300, 10\)"),
    ],
)
def test_what_is_no_logits(few, answer, found):
    class Other(SoftmaxRegression):
        def forward(self, x):
            return answer(x)

    trainer = Trainer(Other(), device="cpu")
    for attempt in (
        lambda: trainer.evaluate(few),
        lambda: trainer.predict(few.images),
        lambda: trainer.fit(few, batch_size=300),
    ):
        with pytest.raises(
            ValueError, match=rf"logits of shape \(300, 10\) .* {found}"
        ):
            attempt()


class Cut(SoftmaxRegression):
    """What it computes is cut off from its weights."""

    def forward(self, x):
        return super().forward(x).detach()


class Unused(SoftmaxRegression):
    """All that it could learn has no part in its answer."""

    def __init__(self):
        super().__init__()
        self.requires_grad_(False)
        self.other = nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize("model", [Cut, Unused])
def test_logits_that_teach_nothing(few, model):
    with pytest.raises(ValueError, match=r"^the logits don't depend on anything"):
        make(model).fit(few)
    assert make(model).predict(few.images).shape == (300, 10)
