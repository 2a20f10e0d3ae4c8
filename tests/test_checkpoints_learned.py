"""A checkpoint goes on with what its run learned, and with what else a model keeps."""

import warnings
from contextlib import suppress

import numpy as np
import pytest
import torch
from test_checkpoints import Curved, stop_in
from torch import nn
from trainers import make, record_rates, same, weights

from mnist_lesson import LeNet, SoftmaxRegression, Trainer


class Twins(nn.Sequential):
    """Two layers of the same shape; one of them may be frozen."""

    def __init__(self, frozen=None):
        super().__init__(
            nn.Flatten(), nn.Linear(784, 10), *(nn.Linear(10, 10) for _ in range(2))
        )
        if frozen:
            self[frozen].requires_grad_(False)


class Reordered(Curved):
    """The same layers, known in another order."""

    def __init__(self):
        super().__init__()
        self._modules = dict(sorted(self._modules.items(), reverse=True))

    def forward(self, x):
        for name in sorted(self._modules):
            x = self._modules[name](x)
        return x


OTHERS_LEARN = [
    (lambda: Twins(3), lambda: Twins(2), "this one has 2.weight, the model has 3"),
    (Twins, lambda: Twins(3), "this one has 3.weight, the model has no more"),
    (lambda: Twins(3), Twins, "this one has no more, the model has 3.weight"),
    (Curved, Reordered, "this one has 1.weight, the model has 4.weight"),
]


@pytest.mark.parametrize(("first", "then", "message"), OTHERS_LEARN)
def test_what_learns_other_parameters_is_not_resumed(
    tmp_path, few, first, then, message
):
    """The optimizer would give their velocities to each other."""
    settings = {"epochs": 3, "checkpoint_dir": tmp_path}
    with pytest.warns(UserWarning, match="interrupted"):
        make(first).fit(few, event_handler=stop_in(1), **settings)
    trainer = make(then)
    before = weights(trainer)
    with pytest.raises(ValueError, match=rf"epoch_0\.pt: expected .*{message}"):
        trainer.fit(few, resume=True, **settings)
    assert same(weights(trainer), before)


def test_older_checkpoints_without_this_note_are_resumed(tmp_path, few):
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    whole = make().fit(few, **settings)
    path = tmp_path / "epoch_0.pt"
    saved = torch.load(path, weights_only=True)
    del saved["settings"]["learned"]
    torch.save(saved, path)
    (tmp_path / "epoch_1.pt").unlink()
    assert make(seed=1).fit(few, resume=True, **settings) == whole


class Counting(nn.Sequential):
    """A model that keeps what is no tensor, too."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 10))
        self.extra = {"seen": 3}

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def test_what_is_no_tensor_is_kept_too(tmp_path, few):
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    with pytest.warns(UserWarning, match="interrupted"):
        make(Counting).fit(few, event_handler=stop_in(1), **settings)
    trainer = make(Counting)
    trainer.model.extra = {"seen": 0}
    trainer.fit(few, resume=True, **settings)
    assert trainer.model.extra == {"seen": 3}


class Cosine(Trainer):
    """Another schedule, of NumPy's numbers."""

    def rate(self, step, steps):
        return self.learning_rate * (1 + np.cos(np.pi * step / steps)) / 2


def test_numpys_numbers_can_be_read_again(tmp_path, few, monkeypatch):
    """PyTorch would save them, and then refuse to read what it saved."""
    rates = record_rates(monkeypatch)
    trainer = Cosine(SoftmaxRegression(), device="cpu")
    trainer.learning_rate, trainer.momentum = np.float64(0.1), np.float32(0.5)
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    with pytest.warns(UserWarning, match="interrupted"):
        trainer.fit(few, event_handler=stop_in(1), **settings)
    before = weights(trainer)
    trainer.fit(few, resume=True, **settings)
    assert not same(weights(trainer), before)
    by_hand = [0.05 * (1 + np.cos(np.pi * t / 6)) for t in range(6)]
    assert rates[:3] + rates[-3:] == pytest.approx(by_hand)  # three steps an epoch
    trainer.restore(tmp_path, 0)


def test_velocities_lie_in_memory_as_their_weights(tmp_path, few):
    """One kernel goes through both in a line, whatever their order was when saved."""
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    with pytest.warns(UserWarning, match="interrupted"):
        make(LeNet).fit(few, event_handler=stop_in(1), **settings)
    kept = (tmp_path / "epoch_0.pt").read_bytes()
    resumed = []
    for layout in torch.contiguous_format, torch.channels_last:
        trainer = make(lambda layout=layout: LeNet().to(memory_format=layout))
        trainer.fit(few, resume=True, **settings)
        resumed.append(weights(trainer))
        (tmp_path / "epoch_1.pt").unlink()
        assert (tmp_path / "epoch_0.pt").read_bytes() == kept
    for one, other in zip(*resumed, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_what_another_program_saved_stays(tmp_path, few):
    path = tmp_path / "epoch_12.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"epoch_12\.pt: .* choose another folder"):
        make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    assert [*tmp_path.iterdir()] == [path] and path.read_bytes() == before
    path.rename(tmp_path / "run.json").write_text('{"run": 12}', "utf-8")
    with pytest.raises(ValueError, match=r"run\.json: .* choose another"):
        make().fit(few, epochs=1, checkpoint_dir=tmp_path)


class Later(nn.Linear):
    """It uses one layer from the second of three batches on, and another never."""

    def __init__(self):
        super().__init__(784, 10)
        self.other, self.never = nn.Linear(784, 10), nn.Linear(784, 10)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.calls += 1
        logits = super().forward(x.flatten(1))
        return logits + self.other(x.flatten(1)) if self.calls > 1 else logits


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_a_part_of_the_model_may_be_used_later(tmp_path, few, momentum):
    """Its first gradient comes after the first step, or never, as in PyTorch."""
    whole = make(Later, momentum=momentum)
    first = weights(whole)
    whole.fit(few, epochs=2)
    moved = [not torch.equal(p, q) for p, q in zip(weights(whole), first, strict=True)]
    assert moved == [True] * 4 + [False] * 2
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    with pytest.warns(UserWarning, match="interrupted"):
        make(Later, momentum=momentum).fit(few, event_handler=stop_in(1), **settings)
    resumed = make(Later, momentum=momentum)
    resumed.fit(few, resume=True, **settings)
    assert same(weights(resumed), weights(whole))


class Shown(SoftmaxRegression):
    """Its representation shows what it has learned."""

    def __init__(self):
        super().__init__()
        self[1].extra_repr = lambda: f"{self[1].bias[0]:.6f}"


def test_what_a_layer_shows_of_itself_may_change_while_it_learns(tmp_path, few):
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    with pytest.warns(UserWarning, match="interrupted"):
        make(Shown).fit(few, event_handler=stop_in(1), **settings)
    resumed, whole = make(Shown), make()
    assert resumed.fit(few, resume=True, **settings) == whole.fit(few, epochs=2)


class Fails(SoftmaxRegression):
    """It answers, but while it trains it raises an error."""

    def forward(self, x):
        assert not self.training, "it fails"
        return super().forward(x)


def test_a_model_that_cannot_learn_costs_no_checkpoint(tmp_path, few):
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    make().fit(few, **settings)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other_shape, no_logits = nn.Linear(5, 10), nn.Flatten()
    no_rate, fails = make(), make(Fails)
    no_logits.learned = nn.Parameter(torch.zeros(1))
    no_rate.rate = lambda step, steps: None
    for trainer, error, message in (
        (Trainer(other_shape, device="cpu"), RuntimeError, "shapes cannot"),
        (Trainer(no_logits, device="cpu"), ValueError, "logits of shape .* 128 images"),
        (no_rate, TypeError, "NoneType"),
        (fails, AssertionError, "it fails"),
    ):
        with pytest.raises(error, match=message):
            trainer.fit(few, **settings)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after == before and len(after) == 3
    with pytest.raises(AssertionError, match="it fails"):
        fails.fit(few, epochs=2, checkpoint_dir=tmp_path / "new")
    assert not [*(tmp_path / "new").iterdir()]


def test_who_is_stopped_before_the_first_step_has_begun_anew(tmp_path, few):
    """The earlier run's epochs are still there, but are not taken for its own."""

    class Stops(SoftmaxRegression):
        def forward(self, x):
            raise KeyboardInterrupt

    settings = {"epochs": 1, "checkpoint_dir": tmp_path}
    earlier, anew = make(), make(seed=1)
    earlier.fit(few, **settings)
    with pytest.warns(UserWarning, match="interrupted after 0 of 1 epochs"):
        make(Stops).fit(few, **settings)
    assert (tmp_path / "epoch_0.pt").is_file()
    history = anew.fit(few, resume=True, **settings)
    assert history == make(seed=1).fit(few, epochs=1)


def test_who_begins_in_ones_first_step_keeps_the_folder(tmp_path, few):
    another, first = make(seed=1), []

    class Slow(SoftmaxRegression):
        def forward(self, x):
            if not first:
                first.append(another.fit(few, epochs=1, checkpoint_dir=tmp_path))
            return super().forward(x)

    with pytest.raises(RuntimeError, match="another training run has begun in this"):
        make(Slow).fit(few, epochs=1, checkpoint_dir=tmp_path)
    make().restore(tmp_path, 0)


@pytest.mark.parametrize("extra", [np.float64(3), {"seen": np.zeros(2)}, range(3)])
def test_what_no_checkpoint_can_hold_is_said_at_the_start(tmp_path, few, extra):
    make(Counting).fit(few, epochs=1, checkpoint_dir=tmp_path)
    trainer = make(Counting)
    trainer.model.extra, before = extra, weights(trainer)
    with pytest.raises(ValueError, match=r"_extra_state is .* tensors, numbers and"):
        trainer.fit(few, epochs=1, checkpoint_dir=tmp_path)
    assert same(weights(trainer), before)
    make(Counting).restore(tmp_path, 0)


def test_where_checkpoints_go_is_settled_at_the_start(tmp_path, few, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"epochs": 2, "event_handler": lambda _: monkeypatch.chdir("/")}
    make().fit(few, checkpoint_dir="kept", **settings)
    names = ["epoch_0.pt", "epoch_1.pt", "run.json"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == names


def test_no_name_is_no_folder(tmp_path, few, monkeypatch):
    """As in $MNIST_LESSON_DATA; the folder one is in would be a surprise."""
    monkeypatch.chdir(tmp_path)
    make().fit(few, epochs=1, checkpoint_dir="")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(ValueError, match="name the checkpoint_dir to resume from"):
        make().fit(few, epochs=1, checkpoint_dir="", resume=True)


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, ZeroDivisionError])
def test_no_gradient_stays_for_the_next_one_to_be_added_to(few, end):
    def stop(event):
        if end:
            raise end

    trainer = make(LeNet)
    trainer.model[0].requires_grad_(False)
    thaw = lambda _: trainer.model[0].requires_grad_(True)  # noqa: E731
    with warnings.catch_warnings(action="ignore"), suppress(ZeroDivisionError):
        trainer.fit(few, epochs=1, event_handler=[thaw, stop])
    assert all(p.grad is None for p in trainer.model.parameters())
