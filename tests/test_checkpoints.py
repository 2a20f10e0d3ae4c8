"""Saving and resuming, killed at any moment, and never another run's epochs."""

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
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
    SoftmaxRegression,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def stop_in(epoch):
    """Press Ctrl-C in an epoch."""

    def handler(event):
        if isinstance(event, EndIteration) and event.epoch == epoch:
            # A shell that runs the tests in the background has them ignore it.
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.signal(signal.SIGINT, before)

    return handler


@pytest.mark.parametrize(("model", "stop"), [(Dropping, 1), (LeNet, 2)])
def test_resuming_is_as_if_never_interrupted(tmp_path, few, sample, model, stop):
    folder, whole = tmp_path / "new" / "folder", make(model)
    settings = {"epochs": np.int64(3), "seed": np.int64(4), "batch_size": np.int64(100)}
    expected = whole.fit(few, sample.validation, **settings)

    def fit(seed, **options):
        # other first weights: all comes from the checkpoint
        trainer = make(model, seed, learning_rate=np.float64(0.1))
        options |= settings | {"checkpoint_dir": folder}
        return trainer.fit(few, sample.validation, **options), weights(trainer)

    with pytest.warns(UserWarning, match=f"interrupted after {stop} of 3 epochs"):
        history, _ = fit(0, event_handler=stop_in(stop))
    assert history == expected[:stop]
    for seed in 98, 99:  # the second time, nothing is left to do
        history, ours = fit(seed, resume=True)
        assert history == expected and same(ours, weights(whole))
    assert names(folder) == ["epoch_0.pt", "epoch_1.pt", "epoch_2.pt", "run.json"]
    content = torch.load(folder / "epoch_0.pt", weights_only=True)
    assert set(content) == {"run", "settings", "history", "model", "optimizer"}


def test_restore_gives_an_epochs_weights_back(tmp_path, few, monkeypatch):
    for variable in "HOME", "USERPROFILE":
        monkeypatch.setenv(variable, str(tmp_path))
    after, trainer = [], make()

    def keep(event):
        if isinstance(event, EndEpoch):
            after.append(weights(trainer))

    trainer.fit(few, epochs=3, checkpoint_dir="~/mine", event_handler=keep)
    trainer.restore("~/mine", torch.tensor(1))
    assert same(weights(trainer), after[1]) and not same(after[1], after[2])
    assert "epoch_1.pt" in names(tmp_path / "mine")
    for folder, has in (tmp_path / "mine", "0, 1, 2"), (tmp_path, "none"):
        with pytest.raises(FileNotFoundError, match=rf"epoch_7\.pt: .* has {has}$"):
            trainer.restore(folder, 7)
    for wrong in -1, 0.5, "0", None:
        with pytest.raises(ValueError, match="epoch must be a whole number from 0"):
            trainer.restore(tmp_path, wrong)


def test_what_is_removed_from_a_folder(tmp_path, few):
    """An older run's epochs, and what a killed one left half-written; nothing else."""
    make().fit(few, epochs=3, checkpoint_dir=tmp_path, resume=True)  # there is nothing
    kept = ["epoch_0.pt", "epoch_notes.pt", "run.json"]
    for resume in False, True:
        for name in "epoch_notes.pt", ".epoch_1.pt-0123abcd", ".run.json-0123abcd":
            (tmp_path / name).touch()
        make().fit(few, epochs=1, checkpoint_dir=tmp_path, resume=resume)
        assert names(tmp_path) == kept


# Whose epochs they are


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_an_older_runs_epochs_never_count(tmp_path, few, monkeypatch, removed):
    """A new run in their folder is killed, at the latest in its first epoch."""
    old = make().fit(few, epochs=2, checkpoint_dir=tmp_path)
    unlink, left = Path.unlink, [removed]

    def die(path, **options):
        if path.suffix == ".pt":
            if not left[0]:
                raise ZeroDivisionError
            left[0] -= 1
        unlink(path, **options)

    def die_too(event):
        raise ZeroDivisionError

    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(Path, "unlink", die)
        make(seed=1).fit(few, epochs=2, checkpoint_dir=tmp_path, event_handler=die_too)
    assert len(list(tmp_path.glob("epoch_*.pt"))) == 2 - removed
    trainer, anew = make(seed=1), make(seed=1)
    before = weights(trainer)
    for path in tmp_path.glob("epoch_*.pt"):
        with pytest.raises(
            ValueError, match=rf"{path.name}: .*an earlier training run"
        ):
            trainer.restore(tmp_path, int(path.stem[-1]))
    assert same(weights(trainer), before)
    history = trainer.fit(few, epochs=2, checkpoint_dir=tmp_path, resume=True)
    assert history == anew.fit(few, epochs=2) != old
    assert same(weights(trainer), weights(anew))


def test_two_runs_in_one_folder(tmp_path, few):
    """The one that began first is told, instead of mixing its epochs in."""
    another, again = make(seed=1), make(seed=2)

    def begin_another(event):
        if isinstance(event, EndEpoch) and event.epoch == 0:
            another.fit(few, epochs=1, checkpoint_dir=tmp_path)

    with pytest.raises(RuntimeError, match="another training run has begun in this"):
        make().fit(few, epochs=3, checkpoint_dir=tmp_path, event_handler=begin_another)
    again.restore(tmp_path, 0)
    assert same(weights(again), weights(another))


def test_epochs_copied_without_the_runs_identity_still_resume(tmp_path, few):
    here, there, trainer, whole = tmp_path / "here", tmp_path / "there", make(), make()
    with pytest.warns(UserWarning, match="interrupted after 1"):
        make().fit(few, epochs=2, checkpoint_dir=here, event_handler=stop_in(1))
    there.mkdir()
    (here / "epoch_0.pt").rename(there / "epoch_0.pt")
    history = trainer.fit(few, epochs=2, checkpoint_dir=there, resume=True)
    assert history == whole.fit(few, epochs=2)
    assert same(weights(trainer), weights(whole))


# What is refused, and leaves everything as it was


class Curved(nn.Sequential):
    """The same weights, name by name, whatever the activation."""

    def __init__(self, activation=nn.ReLU):
        layers = nn.Linear(784, 8), activation(), nn.Dropout(0.5), nn.Linear(8, 10)
        super().__init__(nn.Flatten(), *layers)


OTHER_RUNS = [
    (
        {},
        {"learning_rate": 0.2},
        r"learning_rate = 0\.2, but this one had 0\.1; resume",
    ),
    ({}, {"momentum": 0.5}, r"momentum = 0\.5, but this one had 0\.9"),
    ({}, {"weight_decay": 0.5}, r"weight_decay = 0\.5, but this one had 0\.0005"),
    ({}, {"schedule": "constant"}, "schedule = constant, but this one had one-cycle"),
    ({"epochs": 3}, {}, "epochs = 3, but this one had 2"),
    ({"batch_size": 64}, {}, "batch_size = 64, but this one had 128"),
    ({"seed": 1}, {}, "seed = 1, but this one had 0"),
    ({"train": lambda d: Digits(d.images, 9 - d.labels)}, {}, "training digits = 300"),
    ({"train": lambda d: Digits(d.images // 2, d.labels)}, {}, ".* had 300 digits"),
    ({"validation": lambda d: d[::-1]}, {}, "validation digits = 300"),
    ({"validation": lambda d: None}, {}, "validation digits = none"),
    ({}, {"model": lambda: Curved(nn.Tanh)}, r"layer 2 is ReLU\(\) there.* Tanh\(\)"),
    ({}, {"model": SoftmaxRegression}, "the weights of a SoftmaxRegression"),
    ({}, {"model": lambda: Curved().double()}, "1.weight is float32 .* float64"),
]


@pytest.mark.parametrize(("arguments", "settings", "message"), OTHER_RUNS)
def test_another_run_is_not_resumed(tmp_path, few, arguments, settings, message):
    made = {"train": few, "validation": few, "epochs": 2, "checkpoint_dir": tmp_path}
    make(Curved).fit(**made)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    trainer = make(**{"model": Curved} | settings)
    before = weights(trainer)
    for name, value in arguments.items():
        made[name] = value(few) if callable(value) else value
    with pytest.raises(
        ValueError, match=rf"epoch_1\.pt: expected .*{message}"
    ) as caught:
        trainer.fit(**made, resume=True)
    assert "\n" not in str(caught.value)
    assert same(weights(trainer), before)
    assert kept == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_another_models_epoch_is_not_restored(tmp_path, few):
    make(Curved).fit(few, epochs=1, checkpoint_dir=tmp_path)
    make(lambda: Curved(nn.Tanh)).restore(tmp_path, 0)  # the same weights
    trainer = make(LeNet)
    before = weights(trainer)
    with pytest.raises(ValueError, match="expected the weights of a LeNet"):
        trainer.restore(tmp_path, 0)
    assert same(weights(trainer), before)


class Malicious:
    def __reduce__(self):
        return open, ("was_here", "w")


STATE = SoftmaxRegression().state_dict()
OURS = {"run": "x", "settings": {"layers": {}}, "model": STATE, "optimizer": {}}
ONE = {"cost": 1.0, "accuracy": 0.5}
EPOCH = {"epoch": 0, "step": 3, "train": ONE, "validation": None}
FOREIGN = {
    "empty": b"",
    "text": b"not a checkpoint",
    "pickle": pickle.dumps(print, 2),
    "another project's": {"epoch": 3, "model_state_dict": STATE, "loss": 0.1},
    "the weights": STATE,
    "a list": [STATE],
    "a number": 7,
    "no run": {"settings": OURS["settings"], "model": STATE, "history": [EPOCH]},
    "no history": OURS,
    "no epoch": OURS | {"history": []},
    "half an epoch": OURS | {"history": [{"epoch": 0}]},
    "another epoch": OURS | {"history": [EPOCH | {"epoch": 1}]},
    "a count": OURS | {"history": 5},
    "a program": OURS | {"history": Malicious()},
    "no layers": OURS | {"history": [EPOCH], "settings": {}},
    "no weights": OURS | {"history": [EPOCH], "model": [STATE]},
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_files_that_are_no_checkpoints_of_ours(tmp_path, few, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, trainer = tmp_path / "folder", make()
    folder.mkdir()
    if isinstance(content, bytes):
        (folder / "epoch_0.pt").write_bytes(content)
    else:
        torch.save(content, folder / "epoch_0.pt")
    before = weights(trainer)
    with pytest.raises(ValueError, match=r"epoch_0\.pt: expected a checkpoint of"):
        trainer.restore(folder, 0)
    with pytest.raises(ValueError, match=r"epoch_0\.pt: expected a checkpoint of"):
        trainer.fit(few, epochs=1, checkpoint_dir=folder, resume=True)
    assert same(weights(trainer), before)
    assert names(tmp_path) == ["folder"]


def test_a_damaged_checkpoint_never_passes_for_a_whole_one(tmp_path, few):
    """Bits that flipped anywhere, in a weight, too: refused, or of no consequence."""
    whole = make()
    whole.fit(few, epochs=1, checkpoint_dir=tmp_path)
    path, rng, refused = tmp_path / "epoch_0.pt", random.Random(0), 0
    content = path.read_bytes()
    for _ in range(200):
        damaged, trainer = bytearray(content), make(seed=1)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        before = weights(trainer)
        try:
            trainer.restore(tmp_path, 0)
            assert same(weights(trainer), weights(whole))
        except ValueError as error:
            assert "expected a checkpoint of Trainer.fit" in str(error)
            assert same(weights(trainer), before)
            refused += 1
    assert refused > 100


def test_an_identity_that_cannot_be_read(tmp_path, few):
    make().fit(few, epochs=1, checkpoint_dir=tmp_path)
    (tmp_path / "run.json").write_text("mine", "utf-8")
    with pytest.raises(ValueError, match=r"run\.json: expected the identity"):
        make().fit(few, epochs=1, checkpoint_dir=tmp_path, resume=True)


# Where there is no room, and killed


def test_a_folder_that_cannot_be_one(tmp_path, few):
    """Said before the first step, not after the first epoch."""
    (tmp_path / "file").touch()
    for folder in tmp_path / "file", tmp_path / "file" / "below":
        with pytest.raises(OSError, match="no checkpoint can be written there"):
            make().fit(few, epochs=1, checkpoint_dir=folder, event_handler=pytest.fail)


def test_a_full_disk(tmp_path, few):
    """The epochs before are whole, and nothing half-written is left."""
    resource = pytest.importorskip("resource", reason="limits a file's size")
    limits, trainer = resource.getrlimit(resource.RLIMIT_FSIZE), make()

    def fill_the_disk(event):
        if isinstance(event, EndEpoch) and event.epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))

    options = {"checkpoint_dir": tmp_path, "event_handler": fill_the_disk}
    try:
        with pytest.raises(OSError, match=r"no checkpoint can .*epoch_2\.pt"):
            trainer.fit(few, epochs=4, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == ["epoch_0.pt", "epoch_1.pt", "run.json"]
    trainer.restore(tmp_path, 1)


def test_a_compiled_model_goes_on_as_the_one_it_was_made_of(tmp_path, few):
    """And the other way round; torch.compile gives its weights other names."""

    def compiled():
        return torch.compile(LeNet(), backend="eager")

    expected = make(LeNet)
    expected.fit(few, epochs=3)
    settings = {"epochs": 3, "checkpoint_dir": tmp_path, "resume": True}
    for model, stop in (compiled, 1), (LeNet, 2), (compiled, 3):
        trainer = make(model, seed=stop - 1)
        if stop < 3:
            with pytest.warns(UserWarning, match=f"interrupted after {stop} of 3"):
                trainer.fit(few, event_handler=stop_in(stop), **settings)
        else:
            assert len(trainer.fit(few, **settings)) == 3
    assert same(weights(trainer), weights(expected))
    for model in compiled, LeNet:
        trainer = make(model, seed=5)
        trainer.restore(tmp_path, 2)
        assert same(weights(trainer), weights(expected))


TRAIN = """
import sys, time, torch
from mnist_lesson import MultilayerPerceptron, Trainer, load_mnist
torch.set_num_threads(1)
sample = load_mnist(source="sample")
torch.manual_seed(0)
def listen(event):
    print(event.epoch, flush=True)
    if event.epoch == 2 and sys.argv[2:]:
        time.sleep(600)  # until it is killed
history = Trainer(MultilayerPerceptron(), device="cpu").fit(
    sample.train, sample.validation, epochs=4, event_handler=listen,
    checkpoint_dir=sys.argv[1], resume=True)
print("history", len(history), history[-1].validation)
"""


def test_kill_minus_nine(tmp_path):
    """Killed in the third epoch, it goes on from the second, to the same end."""

    def run(*arguments):
        command = [sys.executable, "-c", TRAIN, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")

    expected = run(tmp_path / "whole").communicate(timeout=240)[0].splitlines()[-1]
    process = run(tmp_path / "killed", "waits")
    timer = threading.Timer(120, process.kill)
    timer.start()
    assert "2\n" in iter(process.stdout.readline, "")
    timer.cancel()
    os.kill(process.pid, 9)  # on Windows, too
    process.communicate()
    left = [name for name in names(tmp_path / "killed") if name[0] != "."]
    assert left == ["epoch_0.pt", "epoch_1.pt", "run.json"]
    lines = run(tmp_path / "killed").communicate(timeout=240)[0].splitlines()
    assert lines[0] == "2" and lines[-1] == expected
