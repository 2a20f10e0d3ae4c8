"""What a step does, what is told of it, what is refused, and whatever module it is."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from trainers import Dropping, make, record_rates, same, weights

from mnist_lesson import (
    CostLogger,
    CostPlotter,
    Digits,
    EndIteration,
    LeNet,
    SoftmaxRegression,
    Trainer,
    example_picture,
    recognize,
    to_input,
)

# What a step does


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_by_hand(few, momentum):
    """One batch of all digits, four times: clipping and Nesterov written out."""
    rate, events, clipped, velocity = 0.1, [], [], [0.0, 0.0]
    torch.manual_seed(0)
    model = SoftmaxRegression()
    trainer = Trainer(
        model, device="cpu", momentum=momentum, weight_decay=0.01, schedule="constant"
    )
    expected = weights(trainer)
    trainer.fit(few, epochs=4, batch_size=300, event_handler=events.append)
    x, y = to_input(few.images).flatten(1), torch.from_numpy(few.labels)
    for event in events[::2]:
        w, b = expected
        logits = x @ w.T + b
        assert event.cost == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-5)
        assert event.accuracy == int((logits.argmax(dim=1) == y).sum()) / 300
        difference = (logits.softmax(dim=1) - F.one_hot(y, 10)) / len(y)
        gradients = [difference.T @ x, difference.sum(dim=0)]
        length = sum((g**2).sum() for g in gradients).sqrt()
        clipped.append(bool(length > 4))
        for i, g in enumerate(gradients):
            g = g * min(1, 4 / length) + 0.01 * expected[i]
            velocity[i] = momentum * velocity[i] + g
            expected[i] = expected[i] - rate * (g + momentum * velocity[i])
    assert len(set(clipped)) == 2  # some gradients were longer than 4, and some not
    for ours, by_hand in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(ours, by_hand, atol=1e-5)


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_learning_rates(few, monkeypatch, schedule):
    """100 steps of rate 0.1: up to step 30, then down to zero; or always the same."""
    rates = record_rates(monkeypatch)
    make(schedule=schedule).fit(few[:100], epochs=10, batch_size=10)
    by_hand = [0.1 * min((t + 1) / 30, (100 - t) / 70, 1) for t in range(100)]
    assert rates == pytest.approx([0.1] * 100 if schedule == "constant" else by_hand)


def test_every_digit_once_an_epoch_in_a_new_order(few):
    """A model that remembers what it saw, in place of one that learns."""

    class Witness(SoftmaxRegression):
        def forward(self, x):
            if self.training:
                seen.append(x.flatten(1).sum(dim=1))
            return super().forward(x)

    seen = []
    make(Witness).fit(few, epochs=2, batch_size=128)
    assert [len(batch) for batch in seen] == [128, 128, 44] * 2
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert not torch.equal(first, second)
    everything = to_input(few.images).flatten(1).sum(dim=1).sort().values
    for epoch in first, second:
        assert torch.equal(epoch.sort().values, everything)


# What it reports


class Events(dict):
    """A handler that is an empty container when it is handed over."""

    def __call__(self, event):
        self[len(self)] = event


def test_events(few, sample):
    handler, second, alone, trainer = Events(), Events(), Events(), make()
    held_out = sample.validation[:50]
    history = trainer.fit(few, held_out, epochs=2, event_handler=[handler, second])
    make().fit(few, epochs=2, event_handler=alone)
    assert handler == second and len(handler) == len(alone) == 8
    epochs = [handler[3], handler[7]]
    assert epochs == history and [(e.epoch, e.step) for e in epochs] == [(0, 3), (1, 6)]
    assert history[1].validation == trainer.evaluate(held_out)
    for epoch, first in (0, 0), (1, 4):
        batches = [handler[first + batch] for batch in range(3)]
        places = [(event.epoch, event.batch, event.step) for event in batches]
        assert places == [(epoch, batch, 3 * epoch + batch) for batch in range(3)]
        # the epoch's figures weigh every digit alike, though one batch is smaller
        for name in "cost", "accuracy":
            values = [getattr(event, name) for event in batches]
            mean = np.average(values, weights=[128, 128, 44])
            assert getattr(history[epoch].train, name) == pytest.approx(mean, rel=1e-5)


def test_nothing_is_read_from_the_device_unless_asked(few, monkeypatch):
    """In an epoch, events that nobody looks into read no value."""
    reads, at_batch = [], []
    for name in "item", "tolist", "__float__", "__bool__", "__int__", "numpy", "cpu":
        original = getattr(torch.Tensor, name)

        def watched(*arguments, original=original, **options):
            reads.append(original)
            return original(*arguments, **options)

        monkeypatch.setattr(torch.Tensor, name, watched)

    def handler(event):
        if isinstance(event, EndIteration):
            at_batch.append(len(reads))
            assert event.batch < 2 or event.cost > 0
            at_batch.append(len(reads))

    make().fit(few, epochs=1, event_handler=handler)
    assert at_batch[:5] == [0] * 5 and at_batch[5] > 0


# The same again, with random numbers of its own


def test_same_seed_same_result(few):
    def run(seed, drawn):
        trainer = make(Dropping)
        torch.rand(drawn)  # where the caller's generator stands must not matter
        return trainer.fit(few, few, epochs=2, seed=seed), weights(trainer)

    (history, ours), (again, theirs) = run(10**30, 0), run(10**30, 1)
    assert history == again and same(ours, theirs)
    assert history != run(2, 1)[0]


def test_handlers_draw_from_the_callers_numbers(few):
    """What a handler draws changes nothing, and continues the caller's sequence."""
    expected = make(Dropping).fit(few, epochs=2, seed=0)
    trainer, drawn = make(Dropping), []
    torch.manual_seed(5)
    history = trainer.fit(
        few, epochs=2, event_handler=lambda event: drawn.append(float(torch.rand(())))
    )
    assert history == expected
    drawn.append(float(torch.rand(())))
    torch.manual_seed(5)
    assert drawn == [float(torch.rand(())) for _ in range(9)]


def test_two_threads_disturb_each_other_as_little_as_two_processes(few):
    trainers = [make(Dropping) for _ in range(4)]
    expected = make(Dropping).fit(few, epochs=6, batch_size=10)
    with ThreadPoolExecutor(len(trainers)) as pool:
        runs = [pool.submit(t.fit, few, epochs=6, batch_size=10) for t in trainers]
    assert [run.result() for run in runs] == [expected] * 4


def test_no_accelerators_generator_is_reseeded(few, monkeypatch):
    """Training on the CPU leaves CUDA's alone (and Apple's, and Intel's)."""
    trainer, reseeded = make(Dropping), []
    for module in torch.cuda, torch.mps, torch.xpu:
        for name in "manual_seed", "manual_seed_all":
            monkeypatch.setattr(module, name, reseeded.append, raising=False)
    trainer.fit(few, epochs=1)
    assert reseeded == []


# What goes wrong


def test_a_cost_that_is_not_finite(few, tmp_path):
    class Broken(SoftmaxRegression):
        batches = 0

        def forward(self, x):
            Broken.batches += self.training
            return super().forward(x) * (math.nan if Broken.batches > 7 else 1)

    trainer = make(Broken)
    message = r"cost is .* epoch 2, batch 1: try a smaller learning_rate than 0\.1, or"
    with pytest.raises(FloatingPointError, match=message):
        trainer.fit(few, epochs=4, checkpoint_dir=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 2  # the epochs before are still there


def test_weights_that_are_no_longer_finite(few):
    """The last step of an epoch, which no cost of this epoch tells of."""
    trainer = make()

    def spoil(event):
        if isinstance(event, EndIteration) and event.step == 2:
            trainer.model[1].bias.data[3] = math.inf

    with pytest.raises(FloatingPointError, match=r"weights are no longer .* epoch 0"):
        trainer.fit(few, epochs=1, event_handler=spoil)
    mask = nn.Parameter(torch.tensor(-math.inf), requires_grad=False)
    trainer.model.register_parameter("mask", mask)  # this was meant so, and stays
    nn.init.zeros_(trainer.model[1].bias)
    trainer.fit(few, epochs=1)


TRAINER_REFUSES = [
    ({"model": LeNet}, r"Trainer takes a model, not its class: write LeNet\(\)"),
    (
        {"model": print},
        "Trainer takes a torch.nn.Module as its model, not <built-in",
    ),
    ({"model": None}, "model, not None"),
    ({"learning_rate": 0}, "learning_rate must be above 0 and finite, not 0"),
    ({"learning_rate": math.nan}, "learning_rate must be above 0 and finite, not nan"),
    ({"learning_rate": math.inf}, "learning_rate must be above 0 and finite, not inf"),
    ({"learning_rate": "0.1"}, "learning_rate must be one number, not '0.1'"),
    ({"momentum": 1}, "momentum must be from 0 to below 1, not 1"),
    ({"momentum": -0.1}, "momentum must be from 0 to below 1, not -0.1"),
    ({"momentum": None}, "momentum must be one number, not None"),
    ({"weight_decay": -1}, "weight_decay must be 0 or more, and finite, not -1"),
    ({"weight_decay": math.inf}, "weight_decay must be 0 or more, and finite, not inf"),
    ({"weight_decay": torch.ones(2)}, "weight_decay must be one number, not tensor"),
    ({"schedule": "cosine"}, '"one-cycle" or "constant", not \'cosine\''),
]


@pytest.mark.parametrize(("settings", "message"), TRAINER_REFUSES)
def test_trainer_refuses(settings, message):
    with pytest.raises(TypeError if "model" in settings else ValueError, match=message):
        Trainer(**{"model": SoftmaxRegression(), "device": "cpu"} | settings)
    if "model" not in settings:  # nor later
        trainer = make()
        vars(trainer).update(settings)
        with pytest.raises(ValueError, match=message):
            trainer.fit(Digits(PIXELS, [1, 2, 3]))


PIXELS = np.zeros((3, 28, 28), np.uint8)
NO_DIGITS = "fit takes Digits, images together with their labels, not "
FIT_REFUSES = [
    *((name, value, f"{name} must be a whole number from 1")
      for name in ("epochs", "batch_size") for value in (0, -1, 1.5, "5")),
    ("seed", -1, "seed must be a whole number from 0, not -1"),
    ("resume", True, "to resume, name the checkpoint_dir to resume from"),
    ("train", Digits(PIXELS, [1, 2, 3])[:0], "there are no training digits"),
    *((name, value, NO_DIGITS + shown)
      for name in ("train", "validation")
      for value, shown in ((PIXELS, "ndarray"), (Digits, "Digits"), ("full", "str"))),
    ("event_handler", CostPlotter, r"an instance, not a class: write CostPlotter\(\)"),
    ("event_handler", [print, CostLogger], r"CostLogger\(\)"),
    ("event_handler", "print", "a function of one event, or a list of such, not 'p'"),
    ("event_handler", [print, 5], "not 5"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "message"), FIT_REFUSES)
def test_fit_refuses(few, name, value, message):
    kind = TypeError if "takes" in message or name == "event_handler" else ValueError
    with pytest.raises(kind, match=message):
        make().fit(**{"train": few, name: value})


def test_numbers_as_people_have_them(few):
    trainer = make(learning_rate=np.float32(0.5), momentum=torch.tensor(0.5))
    assert (trainer.learning_rate, trainer.momentum) == (0.5, 0.5)
    history = trainer.fit(few, few[:0], epochs=torch.tensor(1), batch_size=np.int8(100))
    assert history[0].step == 3 and history[0].validation is None


# Any module


class Tutorial(nn.Module):
    """As countless tutorials have it: `view` needs its channels in the usual order."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.fc = nn.Linear(320, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc(x.view(x.size(0), -1))


@pytest.mark.parametrize(
    "model",
    [
        Tutorial(),
        nn.Sequential(Tutorial(), nn.Identity()),  # somebody's layer, deeper down
        torch.compile(LeNet(), backend="eager"),
        nn.Sequential(nn.Flatten(), nn.LazyLinear(10)),  # sized by its first input
    ],
    ids=["tutorial", "nested", "compiled", "lazy"],
)
def test_any_module(model, few):
    trainer = Trainer(model, device="cpu")
    assert len(trainer.fit(few, few, epochs=1)) == 1
    assert trainer.predict(few.images).shape == (300, 10)
    assert recognize(model, example_picture("seven")).image.shape == (28, 28)


def test_the_fast_order_of_channels_is_used_where_it_can_be(few):
    """Of the inputs of our own and PyTorch's layers, while the weights lie as ever."""
    seen = []

    def look(layer, inputs):
        seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    trainer = make(LeNet)
    strides = [p.stride() for p in trainer.model.parameters()]
    trainer.model[3].register_forward_pre_hook(look)  # 20 maps come in
    trainer.fit(few, few, epochs=1)
    assert len(seen) == 4 and all(seen)
    assert strides == [p.stride() for p in trainer.model.parameters()]


def test_a_model_may_be_frozen(few):
    """A half of it: that stays. The whole: there is nothing to learn, but to judge."""
    model = LeNet()
    model[:3].requires_grad_(False)
    trainer = Trainer(model, device="cpu")
    before = weights(trainer)
    trainer.fit(few, epochs=1)
    moved = [
        not torch.equal(p, q) for p, q in zip(weights(trainer), before, strict=True)
    ]
    assert moved == [False] * 2 + [True] * 4
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="a LeNet, has no parameters to learn"):
        trainer.fit(few)
    assert 0 <= trainer.evaluate(few).accuracy <= 1


@pytest.mark.parametrize("kept", [True, False])
def test_a_frozen_normalization_keeps_its_statistics(few, kept):
    """In evaluation mode, as in PyTorch; a whole model in that mode still learns."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10), nn.BatchNorm1d(10))
    ).eval()
    model[1].requires_grad_(False).train(not kept)
    norms = model[1], model[3]
    means = [norm.running_mean.clone() for norm in norms]
    Trainer(model, device="cpu").fit(few, epochs=1)
    stayed = [
        torch.equal(x.running_mean, mean) for x, mean in zip(norms, means, strict=True)
    ]
    assert stayed == [kept, False] and model[1].training is not kept


def test_float64_is_what_the_caller_made_it(few):
    """A model of that type learns in it, though images are float32."""
    torch.set_default_dtype(torch.float64)
    try:
        trainer = make(LeNet)
        assert trainer.model[0].weight.dtype == torch.float64
        history = trainer.fit(few, few, epochs=1)
        assert history[0].validation == trainer.evaluate(few)
        assert trainer.predict(few.images).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_switched_off(few, switched_off):
    trainer = make()
    before = weights(trainer)
    with switched_off():
        assert len(trainer.fit(few)) == 5
        assert not torch.is_grad_enabled()
    assert not same(weights(trainer), before)
