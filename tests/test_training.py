import math
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mnist_lesson import (
    Digits,
    EndEpoch,
    EndIteration,
    Evaluation,
    History,
    LeNet,
    MultilayerPerceptron,
    SoftmaxRegression,
    Trainer,
    example_picture,
    pick_device,
    recognize,
    to_input,
)


@pytest.fixture
def few(sample):
    """300 digits: two whole batches of 128 and one of 44."""
    return sample.train[:300]


def make(model=SoftmaxRegression, seed=0, **settings):
    torch.manual_seed(seed)
    return Trainer(model(), device="cpu", **settings)


def weights(trainer):
    return [p.detach().clone() for p in trainer.model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


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


def test_events_may_be_made_from_plain_numbers():
    event = EndIteration(0, 100, 100, 0.5, torch.tensor(0.25))
    assert (event.cost, event.accuracy) == (0.5, 0.25)


def test_history_best():
    judged = [Evaluation(cost, 0.9) for cost in (0.5, 0.2, 0.3, 0.2)]
    history = History(EndEpoch(i, i, judged[0], one) for i, one in enumerate(judged))
    assert history.best is history[1]
    for useless in History(), History([EndEpoch(0, 1, judged[0], None)]):
        with pytest.raises(ValueError, match="validation"):
            _ = useless.best


# Judging and predicting


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


def test_recognize(sample):
    trainer = make(LeNet)
    trainer.fit(sample.train, epochs=2, batch_size=64)
    seen = recognize(trainer.model, example_picture("seven"))
    assert seen.label == 7 == int(seen.probabilities.argmax())
    assert seen.image.shape == (28, 28) and seen.image.dtype == np.uint8
    assert torch.equal(seen.probabilities, trainer.predict(seen.image)[0])


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


class Dropping(nn.Sequential):
    """A model that needs random numbers while it trains."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Dropout(0.2), nn.Linear(784, 10))


@pytest.mark.parametrize("model", [Dropping, LeNet])
@pytest.mark.parametrize("stop", [1, 2])
def test_resuming_is_as_if_never_interrupted(tmp_path, few, sample, model, stop):
    settings = {"epochs": 3, "seed": 4, "batch_size": 100}
    whole = make(model)
    expected = whole.fit(few, sample.validation, **settings)

    def interrupt(event):
        if isinstance(event, EndIteration) and event.epoch == stop:
            raise KeyboardInterrupt

    first = make(model)
    with pytest.warns(UserWarning, match=f"interrupted after {stop} of 3 epochs"):
        history = first.fit(
            few,
            sample.validation,
            checkpoint_dir=tmp_path,
            event_handler=interrupt,
            **settings,
        )
    assert history == expected[:stop]
    assert not list(tmp_path.glob(".*"))

    second = make(model, seed=99)  # other first weights: all comes from the checkpoint
    history = second.fit(
        few, sample.validation, checkpoint_dir=tmp_path, resume=True, **settings
    )
    assert history == expected and same(weights(second), weights(whole))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"epoch_{epoch}.pt" for epoch in range(3)
    ]
    # once more: nothing is left to do
    third = make(model, seed=98)
    history = third.fit(
        few, sample.validation, checkpoint_dir=tmp_path, resume=True, **settings
    )
    assert history == expected and same(weights(third), weights(whole))


def test_numpys_numbers_resume_too(tmp_path, few):
    def fit(resume):
        trainer = make(learning_rate=np.float64(0.1))
        return trainer.fit(
            few,
            epochs=np.int64(2),
            batch_size=np.int64(100),
            seed=np.int64(1),
            checkpoint_dir=tmp_path,
            resume=resume,
        )

    assert fit(resume=False) == fit(resume=True)


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


def test_restore_gives_an_epochs_weights_back(tmp_path, few):
    after = []
    trainer = make()

    def keep(event):
        if isinstance(event, EndEpoch):
            after.append(weights(trainer))

    trainer.fit(few, epochs=3, checkpoint_dir=tmp_path, event_handler=keep)
    trainer.restore(tmp_path, 1)
    assert same(weights(trainer), after[1]) and not same(after[1], after[2])
    with pytest.raises(FileNotFoundError, match=r"epoch_7\.pt"):
        trainer.restore(tmp_path, 7)


def test_checkpoints_hold_nothing_but_weights_and_numbers(tmp_path, few):
    make().fit(few, few, epochs=1, checkpoint_dir=tmp_path / "new" / "folder")
    content = torch.load(tmp_path / "new" / "folder" / "epoch_0.pt", weights_only=True)
    assert set(content) == {"settings", "history", "model", "optimizer"}


def test_an_older_trainings_checkpoints_are_replaced(tmp_path, few):
    make().fit(few, epochs=3, checkpoint_dir=tmp_path)
    (tmp_path / "epoch_notes.pt").write_text("mine")
    make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch_0.pt",
        "epoch_notes.pt",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 4}, "epochs = 4, but this one had 3"),
        ({"batch_size": 64}, "batch_size = 64, but this one had 128"),
        ({"seed": 1}, "seed = 1"),
    ],
)
def test_resuming_another_training(tmp_path, few, settings, message):
    make().fit(few, epochs=3, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        make().fit(
            few, checkpoint_dir=tmp_path, resume=True, **({"epochs": 3} | settings)
        )
    with pytest.raises(ValueError, match=r"learning_rate = 0\.2"):
        make(learning_rate=0.2).fit(few, epochs=3, checkpoint_dir=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"expected the weights of a LeNet"):
        make(LeNet).fit(few, epochs=3, checkpoint_dir=tmp_path, resume=True)


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", pickle.dumps(print, 2), None]
)
def test_resuming_from_what_is_no_checkpoint(tmp_path, few, content):
    path = tmp_path / "epoch_0.pt"
    if content is None:
        make().fit(few, epochs=1, checkpoint_dir=tmp_path)
        content = path.read_bytes()[:-2000]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"epoch_0\.pt: expected a checkpoint"):
        make().fit(few, epochs=1, checkpoint_dir=tmp_path, resume=True)


def test_resuming_where_there_is_nothing_begins(tmp_path, few):
    history = make().fit(few, epochs=1, checkpoint_dir=tmp_path / "none", resume=True)
    assert len(history) == 1
    with pytest.raises(ValueError, match="name the checkpoint_dir"):
        make().fit(few, resume=True)


TRAIN = """
import signal, sys, time, torch
from mnist_lesson import MultilayerPerceptron, Trainer, load_mnist
# As in a terminal, also where a shell runs the tests in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
sample = load_mnist(source="sample")
torch.manual_seed(0)
trainer = Trainer(MultilayerPerceptron(), device="cpu")
def slowly(event):
    print(event.epoch, flush=True)
    time.sleep(float(sys.argv[2]) if event.epoch else 0.01)
history = trainer.fit(
    sample.train, sample.validation, epochs=4, event_handler=slowly,
    checkpoint_dir=sys.argv[1], resume=True)
print("history", len(history), history[-1].validation)
"""


def run(folder, pause=0.01):
    """Start a training that rests so long after each batch, from epoch 1 on."""
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, folder, str(pause)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(process, line):
    timer = threading.Timer(120, process.kill)
    timer.start()
    for found in process.stdout:
        if found.strip() == line:
            timer.cancel()
            return
    raise AssertionError(f"ended before printing {line}: {process.stderr.read()}")


def test_kill_minus_nine(tmp_path):
    """Killed in the third epoch, it goes on from the second, to the same end."""
    expected = run(tmp_path / "whole").communicate(timeout=240)[0].splitlines()[-1]
    process = run(tmp_path / "killed")
    wait_for(process, "2")
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = sorted(path.name for path in (tmp_path / "killed").glob("[!.]*"))
    assert left == ["epoch_0.pt", "epoch_1.pt"]
    out, _ = run(tmp_path / "killed").communicate(timeout=240)
    lines = out.splitlines()
    assert lines[0] == "2" and lines[-1] == expected


def test_control_c_returns_the_history(tmp_path):
    process = run(tmp_path, pause=2)
    wait_for(process, "1")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.splitlines()[-1].startswith("history 1 Evaluation")
    assert "interrupted after 1 of 4 epochs" in err


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
    assert len(list(tmp_path.iterdir())) == 2  # the epochs before are still there


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


def test_devices(monkeypatch):
    monkeypatch.delenv("MNIST_LESSON_DEVICE", raising=False)
    found = (
        torch.accelerator.current_accelerator()
        if torch.accelerator.is_available()
        else None
    )
    assert pick_device() == (found or torch.device("cpu"))
    monkeypatch.setenv("MNIST_LESSON_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu") == Trainer(SoftmaxRegression()).device
    for wrong in "toaster", "cuda:99":
        monkeypatch.setenv("MNIST_LESSON_DEVICE", wrong)
        with pytest.raises(
            ValueError, match=f"MNIST_LESSON_DEVICE names '{wrong}'.*cpu"
        ):
            pick_device()
    with pytest.raises(ValueError, match="device names 'toaster'"):
        Trainer(SoftmaxRegression(), device="toaster")


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
