"""The command line, as people type it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image
from test_outliers import drawn
from torch import nn
from trainers import same, weights

from mnist_lesson import (
    CostLogger,
    EndEpoch,
    LeNet,
    MultilayerPerceptron,
    QuickNet,
    SoftmaxRegression,
    Trainer,
    example_picture,
    load_mnist,
)
from mnist_lesson.__main__ import main

TRAIN = ["train", "softmax", "--source=sample"]


@pytest.fixture
def ask(capsys, monkeypatch):
    """Give a command; get its exit status, and both its outputs."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("MNIST_LESSON_DEVICE", "cpu")
    monkeypatch.setenv("COLUMNS", "80")
    before = signal.getsignal(signal.SIGTERM)

    def ask(*arguments):
        try:
            status = main([*map(str, arguments)])
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    yield ask
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder where a model was trained, by a program."""
    import torch

    folder, mnist = tmp_path_factory.mktemp("home"), load_mnist(source="sample")
    torch.manual_seed(3)
    settings = {"learning_rate": 0.05, "momentum": 0.5, "weight_decay": 0.01}
    trainer = Trainer(SoftmaxRegression(), device="cpu", **settings)
    trainer.fit(
        mnist.train, mnist.validation, epochs=2, seed=3, batch_size=100,
        checkpoint_dir=folder / "checkpoints" / "softmax",
    )  # fmt: skip
    return folder, trainer, mnist


def test_train_is_what_a_program_would_do(ask, home, tmp_path):
    _, trainer, mnist = home
    options = ["--epochs=2", "--seed=3", "--batch-size=100", "--learning-rate=0.05"]
    options += ["--momentum=0.5", "--weight-decay=0.01"]
    command = [*TRAIN, *options, "--checkpoint-dir", tmp_path / "new"]
    status, said, errors = ask(*command)
    assert (status, errors) == (0, "")
    lines = said.splitlines()
    assert lines[0].startswith("epoch 0, batch 0: cost 2.")
    assert lines[-2].startswith("epoch 1 ended: cost 0.")
    assert lines[-1] == f"saved in {tmp_path / 'new'}"
    ours = Trainer(SoftmaxRegression(), device="cpu")
    ours.restore(tmp_path / "new", 1)
    assert same(weights(ours), weights(trainer))

    status, said, errors = ask(*command)
    assert (status, said) == (1, "")
    assert "there are epochs of an earlier run; add --resume to go on" in errors
    status, said, errors = ask(*command, "--resume", "--json")
    report = json.loads(said)
    assert status == 0 and len(report["history"]) == 2
    assert report["model"] == "softmax" and report["source"] == "sample"
    epoch = report["history"][1]["validation"]
    assert epoch["accuracy"] == trainer.evaluate(mnist.validation).accuracy
    assert ask(*command, "--seed=4", "--overwrite")[0] == 0
    ours.restore(tmp_path / "new", 1)
    assert not same(weights(ours), weights(trainer))


def test_evaluate_finds_the_model_that_was_trained_last(
    ask, few, home, monkeypatch, tmp_path
):
    folder, trainer, mnist = home
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    lenet = Path("checkpoints", "lenet")
    Trainer(LeNet(), device="cpu").fit(few, epochs=1, checkpoint_dir=lenet)
    assert ask("evaluate", "--source=sample")[1].startswith(f"LeNet ({lenet}")
    os.utime(lenet / "epoch_0.pt", (0, 0))
    (lenet / "epoch_best.pt").touch()  # somebody's own
    expected = trainer.evaluate(mnist.test)
    status, said, _ = ask("evaluate", "--source=sample", "--json")
    report = json.loads(said)
    assert status == 0 and report["model"] == "SoftmaxRegression"
    assert (report["cost"], report["accuracy"]) == (expected.cost, expected.accuracy)
    status, said, _ = ask("evaluate", "--source=sample", "--epoch=0")
    assert status == 0 and "epoch_0.pt) on 1,000 test digits (sample): " in said
    status, _, errors = ask("evaluate", "--source=sample", "--epoch=5")
    assert status == 1 and "of the epochs" in errors and errors.count("\n") == 1


@pytest.mark.parametrize("make", [MultilayerPerceptron, LeNet])
def test_any_model_of_the_course_is_known_by_its_weights(ask, few, tmp_path, make):
    Trainer(make(), device="cpu").fit(few, epochs=1, checkpoint_dir=tmp_path)
    command = ["evaluate", "--source=sample", "--checkpoint-dir", tmp_path]
    status, said, _ = ask(*command)
    assert status == 0 and said.startswith(f"{make.__name__} (")


def curved():
    return MultilayerPerceptron(activation=nn.Tanh)


@pytest.mark.parametrize("make", [curved, QuickNet])
def test_a_model_of_ones_own_is_taken_for_no_other(ask, few, tmp_path, make):
    """Its weights may have the same shapes as those of one of the course's."""
    Trainer(make(), device="cpu").fit(few, epochs=1, checkpoint_dir=tmp_path)
    status, _, errors = ask("evaluate", "--source=sample", "--checkpoint-dir", tmp_path)
    assert status == 1 and "epoch_0.pt: this checkpoint is of none of" in errors


def test_predict_answers_what_it_can(ask, home, monkeypatch, tmp_path):
    """One picture that is none does not keep the others from their answers."""
    monkeypatch.chdir(home[0])
    Image.new("L", (100, 100), 255).save(tmp_path / "blank.png")
    five, gone = example_picture("five"), tmp_path / "gone.png"
    drawn((20, 15), (80, 85), (50, 50), (80, 15), (20, 85)).save(tmp_path / "X.png")
    pictures = [gone, tmp_path / "blank.png", tmp_path, five, tmp_path / "X.png"]
    status, said, errors = ask("predict", *pictures)
    digit, letter = said.splitlines()
    assert status == 1 and digit.startswith(f"{five}: 5 (") and digit.endswith(" %)")
    assert letter.endswith(" %), but it doesn't look like a digit")
    lines = errors.splitlines()
    assert lines[0] == f"mnist-lesson: {gone}: No such file or directory"
    assert "blank.png shows no digit: " in lines[1]
    assert f"{tmp_path} is a folder: " in lines[2] and len(lines) == 3
    status, said, _ = ask("predict", five, gone, "--json")
    first, second = json.loads(said)["pictures"]
    assert status == 1 and second["error"].startswith(str(gone))
    assert first["label"] == 5 and first["outlier"] is False
    assert max(first["probabilities"]) == first["probabilities"][5]


def test_a_name_that_the_output_cannot_hold_stops_nothing(home, tmp_path):
    """A Windows pipe, for one, has few characters."""
    picture = tmp_path / "数字.png"
    picture.write_bytes(Path(example_picture("five")).read_bytes())
    command = "-m", "mnist_lesson", "predict", picture, example_picture("five")
    done = subprocess.run(
        [sys.executable, *command], cwd=home[0], capture_output=True, text=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert done.returncode == 0 and "\\u6570\\u5b57.png: 5" in first
    assert ": 5" in second


@pytest.mark.parametrize("rank", ["1", ""])
def test_a_rank_that_torchrun_did_not_give_means_nothing(ask, monkeypatch, rank):
    monkeypatch.setenv("RANK", rank)
    assert ask("data", "--source=sample")[1].startswith("source sample")


def test_data(ask, monkeypatch, tmp_path):
    status, said, _ = ask("data", "--source=sample")
    assert status == 0
    assert said == "source sample, digits: 3,500 train, 500 validation, 1,000 test\n"
    monkeypatch.setenv("MNIST_LESSON_DATA", str(tmp_path))
    status, said, errors = ask("data", "--json")
    assert (status, said) == (1, "") and errors.count("\n") == 1
    assert errors.startswith(f"mnist-lesson: {tmp_path}: expected the four files")


REFUSED = [
    (2, [], "required: COMMAND"),
    (2, ["train", "lanet"], "invalid choice: 'lanet'"),
    (2, [*TRAIN, "--epochs=0"], "epochs must be a whole number from 1, not 0"),
    (2, [*TRAIN, "--batch-size=0"], "batch_size must be a whole number from 1, not 0"),
    (2, [*TRAIN, "--epochs=many"], "invalid int value: 'many'"),
    (2, [*TRAIN, "--learning-rate=0"], "learning_rate must be above 0"),
    (2, [*TRAIN, "--schedule=cosine"], 'schedule must be "one-cycle" or "constant"'),
    (2, [*TRAIN, "--device=gpu"], "device names 'gpu', which PyTorch cannot use"),
    (2, [*TRAIN, "--resume", "--overwrite"], "not allowed with argument"),
    (2, ["train", "lenet", "--source=web"], "invalid choice: 'web'"),
    (2, ["predict"], "required: IMAGE"),
    (1, [*TRAIN, "--checkpoint-dir=file"], "no checkpoint can be written there"),
    (1, [*TRAIN, "--learning-rate=1e30"], "the cost is no longer finite"),
    (1, ["evaluate"], "there is no trained model; train one, for example with"),
    (1, ["predict", "x.png", "--checkpoint-dir=file"], "there is no trained model"),
    (1, ["predict", "x.png", "--checkpoint-dir=other"], "cannot be read as one"),
]


@pytest.mark.parametrize(("expected", "command", "message"), REFUSED)
def test_what_goes_wrong(ask, expected, command, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "epoch_0.pt").write_text("not ours")
    status, _, errors = ask(*command)
    assert status == expected
    assert errors.splitlines()[-1].startswith("mnist-lesson")
    assert message in errors.splitlines()[-1] and "Traceback" not in errors


@pytest.mark.parametrize("command", ["", "train", "evaluate", "predict", "data"])
def test_help_says_what_there_is(ask, command):
    status, said, errors = ask(*command.split(), "--help")
    assert (status, errors) == (0, "") and said.startswith("usage: mnist-lesson")
    assert command or "mnist-lesson train lenet --resume" in said
    assert all(len(line) <= 80 for line in said.splitlines())


def start(folder, *arguments):
    """Start a command of its own, which Ctrl-C can reach."""
    return subprocess.Popen(
        [sys.executable, "-m", "mnist_lesson", *arguments], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        # A shell that runs the tests in the background has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="its Ctrl-C reaches the tests, too")
def test_ctrl_c_keeps_what_is_finished_and_a_closed_pipe_ends_it(ask, tmp_path):
    """Both at once: to start a process takes longer than what it has to do."""
    command = [*TRAIN, "--epochs=1000"]
    stopped = start(tmp_path, *command)
    closed = start(tmp_path, *command, "--checkpoint-dir=other")
    assert closed.stdout.readline().startswith("epoch 0, batch 0: ")
    closed.stdout.close()
    assert any(line.startswith("epoch 1 ended") for line in stopped.stdout)
    stopped.send_signal(signal.SIGINT)
    _, errors = stopped.communicate(timeout=60)
    saved = len([*tmp_path.glob("checkpoints/softmax/epoch_*.pt")])
    assert saved >= 2 and stopped.returncode == 130
    assert errors == (
        f"mnist-lesson: interrupted after {saved} of 1000 epochs, kept in "
        f"{os.path.join('checkpoints', 'softmax')}: add --resume to go on\n"
    )
    assert closed.stderr.read() == "" and closed.wait(60) == 128 + signal.SIGPIPE


def test_told_to_end_it_keeps_what_is_finished(ask, monkeypatch, tmp_path):
    """As `kill` and a cluster's scheduler tell it."""

    def told(_, event):
        if isinstance(event, EndEpoch):
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # not the end of the tests
    monkeypatch.setattr(CostLogger, "__call__", told)
    status, _, errors = ask(*TRAIN, "--epochs=3", "--checkpoint-dir", tmp_path)
    assert status == 130 and "interrupted after 1 of 3 epochs, kept in" in errors
    assert (tmp_path / "epoch_0.pt").exists()
