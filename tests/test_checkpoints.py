"""Saving and resuming, killed at any moment, and never another run's epochs."""

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from trainers import Dropping, make, same, weights

from mnist_lesson import (
    Digits,
    EndEpoch,
    EndIteration,
    LeNet,
    MultilayerPerceptron,
    SoftmaxRegression,
)


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
        *(f"epoch_{epoch}.pt" for epoch in range(3)),
        "run.json",
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
    assert set(content) == {"run", "settings", "history", "model", "optimizer"}


def test_an_older_trainings_checkpoints_are_replaced(tmp_path, few):
    make().fit(few, epochs=3, checkpoint_dir=tmp_path)
    (tmp_path / "epoch_notes.pt").write_text("mine", "utf-8")
    make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch_0.pt",
        "epoch_notes.pt",
        "run.json",
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


# Whose epochs they are


def stop_at_once(event):
    raise KeyboardInterrupt


def stopped_in_its_first_epoch(folder, few, **settings):
    with pytest.warns(UserWarning, match="interrupted after 0 of 2 epochs"):
        make(seed=1).fit(
            few, epochs=2, checkpoint_dir=folder, event_handler=stop_at_once, **settings
        )


def test_an_older_runs_epochs_are_never_resumed(tmp_path, few):
    """A finished run; a new one in its folder, stopped in its first epoch; resume."""
    old = make().fit(few, epochs=2, checkpoint_dir=tmp_path)
    stopped_in_its_first_epoch(tmp_path, few)
    resumed = make(seed=1)
    history = resumed.fit(few, epochs=2, checkpoint_dir=tmp_path, resume=True)
    anew = make(seed=1)
    assert history == anew.fit(few, epochs=2) != old
    assert same(weights(resumed), weights(anew))


@pytest.mark.parametrize("removed", [0, 1])
def test_killed_before_the_older_epochs_are_gone(tmp_path, few, monkeypatch, removed):
    """Then they lie about still, and count neither for resume nor for restore."""
    make().fit(few, epochs=2, checkpoint_dir=tmp_path)
    unlink, left = Path.unlink, [removed]

    def die(path, **options):
        if path.suffix == ".pt":
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        unlink(path, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", die)
        make(seed=1).fit(few, epochs=2, checkpoint_dir=tmp_path)
    assert len(list(tmp_path.glob("epoch_*.pt"))) == 2 - removed
    trainer = make(seed=1)
    before = weights(trainer)
    with pytest.raises(ValueError, match=r"epoch_1\.pt: .*an earlier training run"):
        trainer.restore(tmp_path, 1)
    assert same(weights(trainer), before)
    history = trainer.fit(few, epochs=2, checkpoint_dir=tmp_path, resume=True)
    assert history == make(seed=1).fit(few, epochs=2)


def test_two_runs_in_one_folder(tmp_path, few):
    """The one that began first is told, instead of mixing its epochs in."""

    def begin_another(event):
        if isinstance(event, EndEpoch) and event.epoch == 0:
            make(seed=1).fit(few, epochs=1, checkpoint_dir=tmp_path)

    with pytest.raises(RuntimeError, match="another training run has begun in this"):
        make().fit(few, epochs=3, checkpoint_dir=tmp_path, event_handler=begin_another)
    trainer = make(seed=1)
    trainer.fit(few, epochs=1)
    again = make(seed=2)
    again.restore(tmp_path, 0)
    assert same(weights(again), weights(trainer))


def test_epochs_copied_without_the_runs_identity_still_resume(tmp_path, few):
    with pytest.warns(UserWarning, match="interrupted after 1"):
        make().fit(
            *(few, None),
            epochs=2,
            checkpoint_dir=tmp_path / "here",
            event_handler=lambda event: event.epoch and stop_at_once(event),
        )
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "epoch_0.pt").rename(tmp_path / "there" / "epoch_0.pt")
    trainer, whole = make(seed=9), make()
    history = trainer.fit(few, epochs=2, checkpoint_dir=tmp_path / "there", resume=True)
    assert history == whole.fit(few, epochs=2)
    assert same(weights(trainer), weights(whole))


# What is refused, and leaves everything as it was


class Curved(nn.Sequential):
    """The same weights, name by name, whatever the activation."""

    def __init__(self, activation=nn.ReLU):
        layers = nn.Linear(784, 8), activation(), nn.Dropout(0.5), nn.Linear(8, 10)
        super().__init__(nn.Flatten(), *layers)


def relabelled(digits):
    return Digits(digits.images, (digits.labels + 1) % 10)


def faded(digits):
    return Digits(digits.images // 2, digits.labels)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"trainer": {"learning_rate": 0.2}}, r"learning_rate = 0\.2.* had 0\.1"),
        ({"trainer": {"momentum": 0.5}}, r"momentum = 0\.5.* had 0\.9"),
        ({"trainer": {"schedule": "constant"}}, "schedule = constant"),
        ({"epochs": 3}, "epochs = 3, but this one had 2"),
        ({"seed": 1}, "seed = 1, but this one had 0"),
        ({"train": relabelled}, "training digits = 300 digits .* had 300 digits"),
        ({"train": faded}, "training digits = 300 digits .* had 300 digits"),
        ({"train": lambda digits: digits[::-1]}, "training digits = 300"),
        ({"validation": relabelled}, "validation digits = 300"),
        ({"validation": lambda digits: None}, "validation digits = none"),
        ({"model": lambda: Curved(nn.Tanh)}, r"layer 2 is ReLU\(\) there.* Tanh\(\)"),
        ({"model": SoftmaxRegression}, "expected the weights of a SoftmaxRegression"),
        ({"model": lambda: Curved().double()}, "1.weight is float32 .* float64"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, few, other, message):
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    make(Curved).fit(few, few, **settings)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    trainer = make(other.pop("model", Curved), 5, **other.pop("trainer", {}))
    before = weights(trainer)
    train = other.pop("train", Digits.__getitem__)
    validation = other.pop("validation", lambda digits: digits)
    train = few if train is Digits.__getitem__ else train(few)
    with pytest.raises(ValueError, match=message) as caught:
        trainer.fit(train, validation(few), resume=True, **settings | other)
    assert "\n" not in str(caught.value)
    assert same(weights(trainer), before)
    assert kept == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("model", [LeNet, Curved])
def test_another_models_epoch_is_not_restored(tmp_path, few, model):
    make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    trainer = make(model)
    before = weights(trainer)
    with pytest.raises(
        ValueError, match=rf"expected the weights of a {model.__name__}"
    ):
        trainer.restore(tmp_path, 0)
    assert same(weights(trainer), before)


class Malicious:
    def __reduce__(self):
        return open, ("was_here", "w")


def foreign_files():
    state = SoftmaxRegression().state_dict()
    ours = {"run": "x", "settings": {"layers": {}}, "model": state, "optimizer": {}}
    yield {"epoch": 3, "model_state_dict": state, "loss": 0.1}
    yield {"model": state, "optimizer": {}}
    yield {"model": state, "settings": {}, "history": [], "optimizer": {}}
    yield ours | {"history": []}
    yield ours | {"history": [{"epoch": 0}]}
    yield ours | {"history": 5}
    yield ours | {"history": Malicious()}
    yield state
    yield [state]
    yield 7


@pytest.mark.parametrize("content", [*foreign_files()])
def test_files_that_are_no_checkpoints_of_ours(tmp_path, few, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    torch.save(content, folder / "epoch_0.pt")
    trainer = make()
    before = weights(trainer)
    for attempt in (
        lambda: trainer.restore(folder, 0),
        lambda: trainer.fit(few, epochs=1, checkpoint_dir=folder, resume=True),
    ):
        with pytest.raises(ValueError, match=r"epoch_0\.pt: expected a checkpoint of"):
            attempt()
    assert same(weights(trainer), before)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_damaged_checkpoint_never_passes_for_a_whole_one(tmp_path, few):
    """Bits that flipped anywhere, in a weight, too: refused, or of no consequence."""
    whole = make()
    whole.fit(few, epochs=1, checkpoint_dir=tmp_path)
    path, rng, refused = tmp_path / "epoch_0.pt", random.Random(0), 0
    content = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        trainer = make(seed=1)
        before = weights(trainer)
        try:
            trainer.restore(tmp_path, 0)
            assert same(weights(trainer), weights(whole))
        except ValueError as error:
            assert "expected a checkpoint of Trainer.fit" in str(error)
            assert same(weights(trainer), before)
            refused += 1
    assert refused > 100


def test_an_epoch_under_another_ones_name(tmp_path, few):
    make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    (tmp_path / "epoch_0.pt").rename(tmp_path / "epoch_4.pt")
    with pytest.raises(ValueError, match=r"epoch_4\.pt: expected a checkpoint"):
        make().restore(tmp_path, 4)


def test_an_identity_that_cannot_be_read(tmp_path, few):
    make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    (tmp_path / "run.json").write_text("mine", "utf-8")
    with pytest.raises(ValueError, match=r"run\.json: expected the identity"):
        make().fit(few, epochs=1, checkpoint_dir=tmp_path, resume=True)


@pytest.mark.parametrize("epoch", [-1, 0.5, "0", None])
def test_restore_wants_a_number(tmp_path, epoch):
    with pytest.raises(ValueError, match="epoch must be a whole number from 0"):
        make().restore(tmp_path, epoch)


def test_a_missing_epoch_says_what_there_is(tmp_path, few):
    make().fit(few, epochs=2, checkpoint_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"epoch_5\.pt: .* has 0, 1"):
        make().restore(tmp_path, 5)
    with pytest.raises(FileNotFoundError, match=r"epoch_0\.pt: .* has none"):
        make().restore(tmp_path / "elsewhere", 0)


# Where there is no room


def test_a_folder_that_cannot_be_one(tmp_path, few):
    """Said before the first step, not after the first epoch."""
    (tmp_path / "file").touch()
    for folder in tmp_path / "file", tmp_path / "file" / "below":
        with pytest.raises(OSError, match="no checkpoint can be written there"):
            make().fit(few, epochs=1, checkpoint_dir=folder, event_handler=pytest.fail)


FULL = """
import resource, sys, torch
from mnist_lesson import EndEpoch, MultilayerPerceptron, Trainer, load_mnist
few = load_mnist(source="sample").train[:300]
def fill_the_disk(event):
    if isinstance(event, EndEpoch) and event.epoch == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, -1))
trainer = Trainer(MultilayerPerceptron(), device="cpu")
try:
    trainer.fit(few, epochs=4, event_handler=fill_the_disk, checkpoint_dir=sys.argv[1])
except OSError as error:
    print(error)
"""


def test_a_full_disk(tmp_path, few):
    """The epochs before are whole, and nothing half-written is left."""
    pytest.importorskip("resource", reason="needs resource, to limit a file's size")
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, encoding="utf-8"
    )
    assert done.stderr == ""
    [line] = done.stdout.splitlines()
    assert "no checkpoint can be written there" in line and "epoch_2.pt" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("epoch_0.pt", "epoch_1.pt", "run.json")
    ]
    make(MultilayerPerceptron).restore(tmp_path, 1)


def test_what_a_killed_run_left_half_written_is_removed(tmp_path, few):
    make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    for resume in True, False:
        left = tmp_path / ".epoch_1.pt-0123abcd"
        left.touch()
        make().fit(few, epochs=1, checkpoint_dir=tmp_path, resume=resume)
        assert not left.exists()


def test_the_home_folder(tmp_path, few, monkeypatch):
    for variable in "HOME", "USERPROFILE":
        monkeypatch.setenv(variable, str(tmp_path))
    trainer = make()
    trainer.fit(few, epochs=1, checkpoint_dir="~/mine")
    assert (tmp_path / "mine" / "epoch_0.pt").exists()
    make().restore("~/mine", 0)


# Killed


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
    """Start a training run that rests so long after each batch, from epoch 1 on."""
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, folder, str(pause)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
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
    os.kill(process.pid, 9)  # on Windows, too
    process.wait()
    left = sorted(path.name for path in (tmp_path / "killed").glob("[!.]*"))
    assert left == ["epoch_0.pt", "epoch_1.pt", "run.json"]
    out, _ = run(tmp_path / "killed").communicate(timeout=240)
    lines = out.splitlines()
    assert lines[0] == "2" and lines[-1] == expected


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows sends no SIGINT to another process"
)
def test_control_c_returns_the_history(tmp_path):
    process = run(tmp_path, pause=2)
    wait_for(process, "1")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.splitlines()[-1].startswith("history 1 Evaluation")
    assert "interrupted after 1 of 4 epochs" in err
