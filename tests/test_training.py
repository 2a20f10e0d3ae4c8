import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from trainers import Dropping, make, same, weights

from mnist_lesson import (
    CostLogger,
    CostPlotter,
    Digits,
    EndEpoch,
    EndIteration,
    LeNet,
    MultilayerPerceptron,
    SoftmaxRegression,
    Trainer,
    example_picture,
    recognize,
    to_input,
)

# What a step does


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_by_hand(few, momentum):
    """One batch of all digits, three times: clipping and Nesterov written out."""
    rate = 0.1
    trainer = make(
        learning_rate=rate, momentum=momentum, weight_decay=0.01, schedule="constant"
    )
    expected, velocity, clipped = weights(trainer), [0.0, 0.0], []
    x, y = to_input(few.images).flatten(1), torch.from_numpy(few.labels)
    for _ in range(4):
        w, b = expected
        difference = ((x @ w.T + b).softmax(dim=1) - F.one_hot(y, 10)) / len(y)
        gradients = [difference.T @ x, difference.sum(dim=0)]
        length = sum((g**2).sum() for g in gradients).sqrt()
        clipped.append(bool(length > 4))
        for i, g in enumerate(gradients):
            g = g * min(1, 4 / length) + 0.01 * expected[i]
            velocity[i] = momentum * velocity[i] + g
            expected[i] = expected[i] - rate * (g + momentum * velocity[i])
    trainer.fit(few, epochs=4, batch_size=300)
    assert len(set(clipped)) == 2  # some gradients were longer than 4, and some not
    for ours, by_hand in zip(weights(trainer), expected, strict=True):
        assert torch.allclose(ours, by_hand, atol=1e-5)


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_learning_rates(few, monkeypatch, schedule):
    """100 steps of rate 0.1: up to step 30, then down to zero; or always the same."""
    rates = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD,
        "step",
        lambda self: (rates.append(self.param_groups[0]["lr"]), step(self))[1],
    )
    make(schedule=schedule).fit(few[:100], epochs=10, batch_size=10)
    if schedule == "constant":
        assert rates == [0.1] * 100
        return
    assert rates[0] == pytest.approx(0.1 / 30) and rates[14] == pytest.approx(0.05)
    assert max(rates) == rates[29] == rates[30] == 0.1
    assert rates[65] == pytest.approx(0.05) and rates[99] == pytest.approx(0.1 / 70)
    assert rates[:30] == sorted(rates[:30]) and rates[30:] == sorted(rates[30:])[::-1]


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
    assert torch.equal(first.sort().values, everything)
    assert torch.equal(second.sort().values, everything)


# What it reports


def test_events(few, sample):
    events = []
    trainer = make()
    history = trainer.fit(
        few,
        sample.validation[:50],
        epochs=2,
        event_handler=[events.append, list().append],
    )
    iterations = [event for event in events if isinstance(event, EndIteration)]
    epochs = [event for event in events if isinstance(event, EndEpoch)]
    places = [(event.epoch, event.batch, event.step) for event in iterations]
    assert places == [(e, b, 3 * e + b) for e in range(2) for b in range(3)]
    assert [(event.epoch, event.step) for event in epochs] == [(0, 3), (1, 6)]
    assert epochs == history and [type(event) for event in events][3] is EndEpoch
    for event in iterations:
        assert isinstance(event.cost, float) and isinstance(event.accuracy, float)
        assert 0 <= event.accuracy <= 1 and event.cost > 0
    # the epoch's figures weigh every digit alike, though one batch is smaller
    for epoch in epochs:
        of_epoch = [event for event in iterations if event.epoch == epoch.epoch]
        sizes = [128, 128, 44]
        for name in "cost", "accuracy":
            values = [getattr(event, name) for event in of_epoch]
            mean = sum(n * v for n, v in zip(sizes, values, strict=True)) / 300
            assert getattr(epoch.train, name) == pytest.approx(mean, rel=1e-5)
    assert epochs[1].validation == trainer.evaluate(sample.validation[:50])


def test_the_first_cost_is_the_models_own(few):
    trainer = make(MultilayerPerceptron)
    before = trainer.evaluate(few)
    events = []
    trainer.fit(few, epochs=1, batch_size=300, event_handler=events.append)
    assert events[0].cost == pytest.approx(before.cost, rel=1e-5)
    assert events[0].accuracy == pytest.approx(before.accuracy)


def test_nothing_is_read_from_the_device_unless_asked(few, monkeypatch):
    """In an epoch, events that nobody looks into read no value."""
    reads = []
    for name in "item", "tolist", "__float__", "__bool__", "__int__", "numpy", "cpu":
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda self, *a, _n=name, _o=original, **k: (
                reads.append(_n),
                _o(self, *a, **k),
            )[1],
        )
    at_batch = []

    def count(event):
        if isinstance(event, EndIteration):
            at_batch.append(len(reads))

    make().fit(few, epochs=1, event_handler=count)
    assert at_batch == [0, 0, 0]

    def look(event):
        if isinstance(event, EndIteration):
            assert event.cost > 0
            at_batch.append(len(reads))

    at_batch.clear(), reads.clear()
    make().fit(few, epochs=1, event_handler=look)
    assert at_batch[0] > 0


def test_empty_digits(few, sample):
    with pytest.raises(ValueError, match="no digits to evaluate"):
        make().evaluate(few[:0])
    with pytest.raises(ValueError, match="no training digits"):
        make().fit(few[:0])
    history = make().fit(few, sample.validation[:0], epochs=1)
    assert history[0].validation is None


@pytest.mark.parametrize("model", [SoftmaxRegression, MultilayerPerceptron, LeNet])
def test_models_learn(model, sample):
    """Real digits, two epochs: far above chance, as no broken trainer would be."""
    trainer = make(model)
    trainer.fit(sample.train, epochs=2, batch_size=64)
    assert trainer.evaluate(sample.test).accuracy > 0.8


# The same again


@pytest.mark.parametrize("model", [MultilayerPerceptron, LeNet])
def test_same_seed_same_result(model, few, sample):
    def run(seed):
        trainer = make(model)
        torch.rand(seed)  # where the caller's generator stands must not matter
        return trainer.fit(few, sample.validation, epochs=2, seed=seed), weights(
            trainer
        )

    (history, ours), (again, theirs), (other, _) = run(1), run(1), run(2)
    assert history == again and same(ours, theirs)
    assert history != other


def test_the_callers_random_numbers_are_left_alone(few):
    trainer = make()
    expected = torch.rand(3, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(5)
    trainer.fit(few, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_handler_may_be_an_empty_container(few):
    class Events:
        def __init__(self):
            self.seen = []

        def __len__(self):
            return len(self.seen)

        def __call__(self, event):
            self.seen.append(event)

    events = Events()
    make().fit(few, epochs=1, event_handler=events)
    assert len(events) == 4


# What goes wrong


def test_a_cost_that_is_not_finite(few, tmp_path):
    class Broken(SoftmaxRegression):
        batches = 0

        def forward(self, x):
            Broken.batches += self.training
            return super().forward(x) * (math.nan if Broken.batches > 7 else 1)

    trainer = make(Broken)
    with pytest.raises(FloatingPointError, match=r"epoch 2, batch 1: try a smaller"):
        trainer.fit(few, epochs=4, checkpoint_dir=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 2  # the epochs before are still there


def test_too_high_a_rate(sample):
    with pytest.raises(FloatingPointError, match="smaller learning_rate than 1e\\+12"):
        make(LeNet, learning_rate=1e12).fit(sample.train[:500], epochs=2, batch_size=20)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0}, "learning_rate must be above 0, not 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0, not nan"),
        ({"momentum": 1}, "momentum must be"),
        ({"weight_decay": -1}, "weight_decay must be"),
        ({"schedule": "cosine"}, '"one-cycle" or "constant", not \'cosine\''),
    ],
)
def test_trainer_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "5"])
def test_fit_refuses(few, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        make().fit(few, **{name: value})


def test_the_model_given_is_the_model_trained(few):
    model = LeNet()
    trainer = Trainer(model, device="cpu")
    assert trainer.model is model
    before = weights(trainer)
    trainer.fit(few, epochs=1)
    assert not same(before, weights(trainer))


def test_model_with_wrong_outputs(few):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 12))
    with pytest.raises(ValueError, match=r"logits of shape \(64, 10\).*\(64, 12\)"):
        Trainer(model).fit(few, epochs=1, batch_size=64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LeNet,), r"Trainer takes a model, not its class: write LeNet\(\)"),
        ((print,), "Trainer takes a torch.nn.Module as its model, not a builtin"),
        ((None,), "not a NoneType"),
    ],
)
def test_a_model_is_meant(arguments, message):
    with pytest.raises(TypeError, match=message):
        Trainer(*arguments)


@pytest.mark.parametrize("name", ["learning_rate", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", ["0.1", None, [0.1, 0.2], torch.ones(2)])
def test_settings_are_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be one number, not"):
        make(**{name: value})


def test_numbers_as_people_have_them(few):
    trainer = make(learning_rate=np.float32(0.5), momentum=torch.tensor(0.5))
    assert (trainer.learning_rate, trainer.momentum) == (0.5, 0.5)
    history = trainer.fit(few, epochs=torch.tensor(1), batch_size=np.int8(100))
    assert history[0].step == 3


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (CostPlotter, r"which a class is not made for: .* CostPlotter\(\)"),
        ([print, CostLogger], r"CostLogger\(\)"),
        ("print", "a function of one event, or a list of such, not 'p'"),
        ([print, 5], "not 5"),
    ],
)
def test_handlers_are_functions(few, handler, message):
    with pytest.raises(TypeError, match=message):
        make().fit(few, epochs=1, event_handler=handler)


@pytest.mark.parametrize("name", ["train", "validation"])
@pytest.mark.parametrize("what", [np.zeros((3, 28, 28), np.uint8), Digits, "full"])
def test_digits_are_meant(few, name, what):
    with pytest.raises(TypeError, match="fit takes Digits, images together with"):
        make().fit(**{"train": few, "epochs": 1} | {name: what})
    with pytest.raises(TypeError, match="evaluate takes Digits"):
        make().evaluate(what)


def test_weights_that_are_no_longer_finite(few):
    """The last step of an epoch, which no cost of this epoch tells of."""
    trainer = make(schedule="constant")

    def spoil(event):
        if isinstance(event, EndIteration) and event.step == 2:
            trainer.model[1].bias.data[3] = math.inf

    with pytest.raises(FloatingPointError, match=r"weights are no longer .* epoch 0"):
        trainer.fit(few, epochs=1, event_handler=spoil)


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


class Nested(nn.Sequential):
    """PyTorch's own container, with somebody's layer in it."""

    def __init__(self):
        super().__init__(Tutorial(), nn.Identity())


@pytest.mark.parametrize("model", [Tutorial, Nested])
def test_a_tutorials_model(model, few):
    trainer = make(model)
    trainer.fit(few, few, epochs=1)
    assert trainer.predict(few.images).shape == (300, 10)
    assert recognize(trainer.model, example_picture("seven")).image.shape == (28, 28)


@pytest.mark.parametrize("model", [Tutorial, LeNet])
def test_weights_lie_in_memory_as_they_did(model, few):
    given = model()
    strides = [p.stride() for p in given.parameters()]
    trainer = Trainer(given, device="cpu")
    trainer.fit(few, epochs=1)
    trainer.evaluate(few)
    assert strides == [p.stride() for p in given.parameters()]


def test_the_fast_order_of_channels_is_used_where_it_can_be(few):
    """Ours and PyTorch's layers get their inputs with the channels innermost."""
    seen = []

    def look(layer, inputs):
        seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
        return None

    trainer = make(LeNet)
    trainer.model[3].register_forward_pre_hook(look)  # 20 maps come in
    trainer.fit(few, few, epochs=1)
    assert seen and all(seen)


def test_a_model_without_anything_to_learn(few):
    frozen = LeNet().requires_grad_(False)
    for model in nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10)), frozen:
        trainer = Trainer(model, device="cpu")
        with pytest.raises(ValueError, match="has no parameters to learn"):
            trainer.fit(few)
        assert 0 <= trainer.evaluate(few).accuracy <= 1


def test_half_a_model_may_be_frozen(few):
    model = LeNet()
    model[:3].requires_grad_(False)
    before = [p.clone() for p in model.parameters()]
    Trainer(model, device="cpu").fit(few, epochs=1)
    pairs = zip(model.parameters(), before, strict=True)
    moved = [not torch.equal(p, q) for p, q in pairs]
    assert moved == [False] * 2 + [True] * 4


def test_float64_is_what_the_caller_made_it(few):
    """A model of that type learns in it, though images are float32."""
    torch.set_default_dtype(torch.float64)
    try:
        trainer = make(LeNet)
        assert trainer.model[0].weight.dtype == torch.float64
        history = trainer.fit(few, few, epochs=1)
        assert history[0].validation == trainer.evaluate(few)
        assert trainer.predict(few.images).dtype == torch.float32
        assert recognize(trainer.model, example_picture("five")).probabilities.dtype
    finally:
        torch.set_default_dtype(torch.float32)


def test_where_gradients_are_switched_off(few):
    with torch.no_grad():
        trainer = make()
        before = weights(trainer)
        trainer.fit(few, epochs=1)
        assert not torch.is_grad_enabled()
    assert not same(weights(trainer), before)


def test_a_compiled_model(few):
    model = torch.compile(LeNet(), backend="eager")
    trainer = Trainer(model, device="cpu")
    trainer.fit(few, few, epochs=1)
    assert recognize(model, example_picture("seven")).label in range(10)


def test_layers_that_wait_for_their_first_input(few):
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    history = Trainer(model, device="cpu").fit(few, epochs=1)
    assert len(history) == 1 and model[1].in_features == 784


# Random numbers of its own


def test_handlers_draw_from_the_callers_numbers(few):
    """What a handler draws changes nothing, and continues the caller's sequence."""
    expected = make(Dropping).fit(few, epochs=2)
    trainer, drawn = make(Dropping), []
    torch.manual_seed(5)
    history = trainer.fit(
        few, epochs=2, event_handler=lambda event: drawn.append(float(torch.rand(())))
    )
    assert history == expected
    torch.manual_seed(5)
    assert drawn == [float(torch.rand(())) for _ in drawn] and len(drawn) == 8


def test_two_threads_disturb_each_other_as_little_as_two_processes(few):
    trainers = [make(Dropping) for _ in range(6)]
    expected = make(Dropping).fit(few, epochs=6, batch_size=10)
    with ThreadPoolExecutor(len(trainers)) as pool:
        histories = list(
            pool.map(lambda t: t.fit(few, epochs=6, batch_size=10), trainers)
        )
    assert histories == [expected] * len(trainers)


def test_no_accelerators_generator_is_reseeded(few, monkeypatch):
    """Training on the CPU leaves CUDA's alone (and Apple's, and Intel's)."""
    trainer, reseeded = make(Dropping), []
    for module in torch.cuda, torch.mps, torch.xpu:
        for name in "manual_seed", "manual_seed_all":
            monkeypatch.setattr(module, name, reseeded.append, raising=False)
    trainer.fit(few, epochs=1)
    assert reseeded == []


def test_any_whole_number_is_a_seed(few):
    for seed in 0, 2**62, 10**30:
        assert len(make(Dropping).fit(few, epochs=1, seed=seed)) == 1
    with pytest.raises(ValueError, match="seed must be a whole number from 0, not -1"):
        make().fit(few, seed=-1)
