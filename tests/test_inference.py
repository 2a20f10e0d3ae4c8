import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from trainers import make

from mnist_lesson import (
    Digits,
    LeNet,
    MultilayerPerceptron,
    SoftmaxRegression,
    Trainer,
    example_picture,
    recognize,
    to_input,
)
from mnist_lesson.inference import accuracy


def test_evaluate_and_predict(sample):
    """More digits than are computed at a time, in an uneven number."""
    digits = Digits(
        np.concatenate([sample.test.images, sample.train.images[:234]]),
        np.concatenate([sample.test.labels, sample.train.labels[:234]]),
    )
    trainer = make(LeNet)
    trainer.model.train()
    with torch.no_grad():
        logits = trainer.model(to_input(digits.images))
    labels = torch.from_numpy(digits.labels)
    judged = trainer.evaluate(digits)
    assert judged.cost == pytest.approx(
        F.cross_entropy(logits, labels).item(), rel=1e-5
    )
    correct = sum(
        int(a) == b for a, b in zip(logits.argmax(1), digits.labels, strict=True)
    )
    assert judged.accuracy == pytest.approx(correct / 1234)
    probabilities = trainer.predict(digits.images)
    assert probabilities.dtype == torch.float32 and probabilities.shape == (1234, 10)
    assert torch.allclose(probabilities, logits.softmax(dim=1), atol=1e-5)
    assert torch.equal(
        trainer.predict(digits.images[7]), trainer.predict(digits.images[7:8])
    )
    assert trainer.model.training  # as it was


def test_dropout_is_off_when_judging(few):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
    trainer = Trainer(model, device="cpu")
    assert trainer.evaluate(few) == trainer.evaluate(few)


def test_recognize(sample):
    trainer = make(LeNet)
    trainer.fit(sample.train, epochs=2, batch_size=64)
    seen = recognize(trainer.model, example_picture("seven"))
    assert seen.label == 7 == int(seen.probabilities.argmax())
    assert seen.image.shape == (28, 28) and seen.image.dtype == np.uint8
    assert torch.equal(seen.probabilities, trainer.predict(seen.image)[0])


def test_layers_keep_their_modes(few):
    """A frozen normalization stays frozen after the model was judged."""
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    trainer = Trainer(model, device="cpu")
    model.train()
    model[1].eval()
    trainer.evaluate(few)
    assert [layer.training for layer in model] == [True, False, True]
    model.eval()
    trainer.predict(few.images)
    assert not any(module.training for module in model.modules())


def test_recognize_works_where_evaluate_does(few):
    """Models whose numbers are not in parameters: none at all, or packed away."""
    pooled = nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a newer way to quantize
        quantized = torch.ao.quantization.quantize_dynamic(MultilayerPerceptron())
    for model in pooled, quantized, torch.jit.script(LeNet()):
        seen = recognize(model, example_picture("three"))
        assert seen.label == int(Trainer(model).predict(seen.image).argmax())


def test_an_answer_that_is_not_a_number():
    model = SoftmaxRegression()
    model[1].weight.data[:] = torch.nan
    with pytest.raises(FloatingPointError, match="answer is not a number"):
        recognize(model, example_picture("three"))


def test_recognize_wants_a_model():
    with pytest.raises(TypeError, match=r"not its class: write LeNet\(\)"):
        recognize(LeNet, example_picture("three"))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda x: x.flatten(1)[:, :9], r"\(300, 9\)"),
        (lambda x: (x.flatten(1)[:, :10],), "a tuple"),
        (lambda x: None, "a NoneType"),
        (lambda x: x.flatten(1)[:1, :10], r"\(1, 10\)"),
    ],
)
def test_what_is_no_logits(few, answer, found):
    class Other(nn.Module):
        def forward(self, x):
            return answer(x)

    for attempt in (
        Trainer(Other()).evaluate,
        lambda d: Trainer(Other()).predict(d.images),
    ):
        with pytest.raises(ValueError, match=rf"must return logits .* {found}"):
            attempt(few)


def test_probabilities_can_be_worked_on(few):
    """They are ordinary tensors: a learner may go on computing with them."""
    probabilities = make().predict(few.images)
    scale = torch.ones(10, requires_grad=True)
    (probabilities * scale).sum().backward()
    assert torch.allclose(scale.grad, probabilities.sum(0))


def test_accuracy_is_exact():
    """One wrong answer in 10,000, and in three: the nearest float to the fraction."""
    labels = torch.zeros(10_000, dtype=torch.int64)
    logits = F.one_hot(labels, 10).float()
    logits[5] = logits[5].flip(0)
    assert accuracy(logits, labels) == 9_999 / 10_000
    assert accuracy(logits[4:7], labels[4:7]) == 2 / 3
