"""Several processes that torchrun started, against one: what comes out is the same."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from torch.distributed.run import get_args_parser
from trainers import make, weights

from mnist_lesson import LeNet, SoftmaxRegression, pick_device
from mnist_lesson.__main__ import parser, train
from mnist_lesson.ranks import Ranks, join

PAGE = (Path(__file__).parents[1] / "book" / "machines.md").read_text("utf-8")

# Three runs of 299 digits in batches of 149: parts of 75 and 74, and of one and none.
TOGETHER = """
import os, sys, torch
from torch import nn
sys.path += sys.argv[2:]
from trainers import make, weights
from mnist_lesson import LeNet, EndIteration, load_mnist

class Drawing(nn.Sequential):
    def forward(self, x):
        if self.training:
            drawn.append(float(torch.rand(())))
        return super().forward(x)

    def get_extra_state(self):
        return {"not": "a tensor"}

    def set_extra_state(self, state):
        pass

rank, folder, drawn, events = int(os.environ["RANK"]), sys.argv[1], [], []
mnist = load_mnist(source="sample")
few, held_out = mnist.train[:299], mnist.validation[:51]

def listen(event):
    if isinstance(event, EndIteration):
        events.append((event.step, event.cost, event.accuracy))

torch.set_num_threads(1)
settings = {"epochs": 2, "batch_size": 149}
lenet = make(LeNet, seed=rank)
history = lenet.fit(few, held_out, event_handler=listen, **settings)
resumed = make(LeNet, seed=5 + rank)
again = resumed.fit(few, held_out, checkpoint_dir=folder, resume=True, **settings)
layers = nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10)
drawing = make(lambda: Drawing(*layers), seed=rank)
drawing.fit(few[:298], held_out, epochs=1, batch_size=149)
told = []
for digits, wrong, rate in (
    (few[rank:], None, 0.1), (few, folder + "/epoch_0.pt", 0.1),
    (few, None, 0.1 + rank / 10),
):
    try:
        make(learning_rate=rate).fit(digits, checkpoint_dir=wrong)
    except (ValueError, OSError) as error:
        told.append(f"{type(error).__name__}: {error}")
torch.save(
    {"history": history, "again": again, "events": events, "drawn": drawn,
     "told": told, "lenet": weights(lenet), "resumed": weights(resumed),
     "drawing": [*drawing.model.parameters(), *drawing.model.buffers()]},
    f"{folder}/rank{rank}",
)
"""
# Says which process it is, to be killed, and does what it is told.
TOLD = """
import os, sys
from pathlib import Path
from mnist_lesson.__main__ import main
Path(sys.argv[1], os.environ["RANK"]).write_text(str(os.getpid()))
sys.exit(main(sys.argv[2:]))
"""


def torchrun(folder, program, *arguments):
    """Start a program in two processes."""
    script = folder / "program.py"
    script.write_text(program, "utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "USE_LIBUV": "0"}
    return subprocess.Popen(
        [*command, script, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8",
    )  # fmt: skip


@pytest.fixture(scope="module")
def together(tmp_path_factory, sample):
    """Run it, in a folder where one process alone was interrupted after an epoch."""
    folder = tmp_path_factory.mktemp("together")
    settings = {"epochs": 2, "batch_size": 149, "checkpoint_dir": folder}

    def stop(event):
        if event.epoch == 1:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 1"):
        make(LeNet).fit(
            sample.train[:299], sample.validation[:51], event_handler=stop, **settings
        )
    process = torchrun(folder, TOGETHER, folder, os.path.dirname(__file__))
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return [torch.load(folder / f"rank{r}", weights_only=False) for r in (0, 1)]


@pytest.fixture(scope="module")
def alone(sample):
    """Train the same in this process: its weights, history and events."""
    events, trainer = [], make(LeNet)
    history = trainer.fit(
        sample.train[:299], sample.validation[:51], epochs=2, batch_size=149,
        event_handler=events.append,
    )  # fmt: skip
    return weights(trainer), history, [e for e in events if hasattr(e, "batch")]


def close(ours, theirs, tolerance):
    pairs = zip(ours, theirs, strict=True)
    return all(float((a - b).abs().max()) <= tolerance for a, b in pairs)


@pytest.mark.parametrize("run", ["lenet", "resumed"])
def test_the_weights_are_those_of_one_process(together, alone, run):
    """Whatever rank 1 began with; and where one process began, two may go on."""
    assert close(together[0][run], together[1][run], 0)
    assert close(together[0][run], alone[0], 1e-5)
    assert not close(together[0][run], weights(make(LeNet)), 1e-2)


def test_every_rank_has_the_events_and_the_history_of_all(together, alone):
    _, expected, batches = alone
    for found in together:
        for history in found["history"], found["again"]:
            for epoch, other in zip(history, expected, strict=True):
                assert (epoch.epoch, epoch.step) == (other.epoch, other.step)
                for kind in "train", "validation":
                    ours, theirs = getattr(epoch, kind), getattr(other, kind)
                    assert ours.accuracy == theirs.accuracy
                    assert ours.cost == pytest.approx(theirs.cost, rel=1e-4)
        costs = [(e.step, e.cost, e.accuracy) for e in batches]
        assert len(costs) == 6
        for ours, theirs in zip(found["events"], costs, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)
    assert together[0]["events"] == together[1]["events"]


def test_each_rank_draws_its_own_numbers_and_all_keep_the_same_means(together):
    first, second = (found["drawn"] for found in together)
    assert len(first) == len(second) == 2 and not {*first} & {*second}
    # Nor what rank 0 drew before them, for the order.
    assert (
        float(torch.rand((), generator=torch.Generator().manual_seed(0))) != second[0]
    )
    assert close(together[0]["drawing"], together[1]["drawing"], 0)


def test_what_one_rank_cannot_do_is_told_to_all(together):
    """Other digits, another rate; a folder where the first rank cannot write."""
    for found in together:
        others, written, rate = found["told"]
        assert "ValueError: rank 1 has training digits = 298 digits" in others
        assert "no checkpoint can be written there" in written
        assert "ValueError: rank 1 has learning_rate = 0.2, and rank 0 has 0.1" in rate


def test_killed_ranks_stop_the_others_and_one_process_goes_on(tmp_path, sample):
    folder, epochs = tmp_path / "checkpoints", 30
    settings = ["--source=sample", f"--epochs={epochs}", f"--checkpoint-dir={folder}"]
    process = torchrun(tmp_path, TOLD, tmp_path, "train", "softmax", *settings)
    end = time.monotonic() + 120
    while not (folder / "epoch_1.pt").exists() and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    first, second = (int((tmp_path / rank).read_text()) for rank in "01")
    if sys.platform != "win32":
        os.kill(first, signal.SIGTERM)  # as torchrun does, which may notice before it
    os.kill(second, 9)
    said, errors = process.communicate(timeout=60)
    assert process.returncode and "epoch 0 ended" in said
    assert "mnist-lesson: rank 0 lost touch with the other processes" in errors
    assert "told to end" not in errors  # it noticed by itself
    saved = sorted(folder.glob("epoch_*.pt"))
    assert 2 <= len(saved) < epochs
    goes_on, whole = make(seed=1), make()
    digits = sample.train, sample.validation
    history = goes_on.fit(*digits, epochs=epochs, checkpoint_dir=folder, resume=True)
    expected = whole.fit(*digits, epochs=epochs)
    assert len(history) == epochs
    assert history.best.validation.cost == pytest.approx(
        expected.best.validation.cost, rel=1e-3
    )
    assert close(weights(goes_on), weights(whole), 1e-3)


# Waits for a rank that never comes.
WAITS = """
import signal, sys
import mnist_lesson.__main__ as command
command.NOTICE, command.GRACE = 0.2, 0.5
signal.signal(signal.SIGINT, signal.default_int_handler)  # which "&" of a shell ignores
sys.exit(command.main(["train", "softmax", "--source=sample"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there they end a process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_rank_that_waits_in_vain_and_is_told_to_end_says_so(tmp_path, number):
    """Where it waits, no signal handler of Python's runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ranks = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "RANK": "0"}
    ranks |= {"LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        cwd=tmp_path, env=os.environ | ranks | {"USE_LIBUV": "0"}, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not listens(port):
            assert waiting.poll() is None, waiting.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        waiting.send_signal(number)
        _, errors = waiting.communicate(timeout=60)
    finally:
        waiting.kill()
        waiting.communicate()
    assert waiting.returncode == 1
    assert "mnist-lesson: rank 0 lost touch with the other processes" in errors
    assert "(it was told to end, and could not)" in errors


@pytest.mark.skipif(sys.platform == "win32", reason="there it ends a process")
def test_a_rank_that_is_told_to_end_is_interrupted(tmp_path):
    """Some time later, in case it notices by itself that another one died."""
    sleeps = 'command.join = lambda _: (print("now", flush=True), time.sleep(60))\n'
    before, begin = WAITS.split("sys.exit")
    waiting = subprocess.Popen(
        [sys.executable, "-c", f"import time{before}{sleeps}sys.exit{begin}"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        env=os.environ | {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "0"},
    )  # fmt: skip
    try:
        assert waiting.stdout.readline() == "now\n"
        waiting.send_signal(signal.SIGTERM)
        _, errors = waiting.communicate(timeout=60)
    finally:
        waiting.kill()
        waiting.communicate()
    assert (waiting.returncode, errors) == (130, "mnist-lesson: interrupted\n")


def listens(port):
    """Tell whether somebody listens there; as a rank that waits for others does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Without other processes


def test_alone_nothing_is_exchanged(few):
    """Not even where PyTorch comes without what is needed for it."""
    model, rows = SoftmaxRegression(), [torch.arange(3)]
    for ranks in Ranks(), join(torch.device("cpu")):
        assert ranks == Ranks(0, 1)
        assert ranks.part(rows) is rows and ranks.whole(rows[0], 3) is rows[0]
        assert ranks.first(lambda: 7) == 7
        ranks.agree({"seed": 0})
        ranks.share(model)


def test_pytorch_without_torch_distributed(few, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    monkeypatch.delattr(torch.distributed, "is_initialized")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert len(make().fit(few, few, epochs=1)) == 1


def test_parts_are_even_and_are_all_there_is():
    for digits in 0, 1, 2, 128, 1000:
        for count in 1, 2, 3, 8:
            whole = torch.arange(digits)
            parts = [Ranks(rank, count).part([whole])[0] for rank in range(count)]
            sizes = [len(part) for part in parts]
            assert max(sizes) - min(sizes) <= 1
            assert torch.equal(torch.cat(parts), whole)


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch):
    """Except Apple's, which cannot exchange what is added up."""
    variables = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("MNIST_LESSON_DEVICE", raising=False)
    monkeypatch.setattr(torch, "ones", lambda *_, device: torch.zeros(1))
    found = {"cuda": "cuda:1", "xpu": "xpu:1", "mps": "cpu"}
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    for kind, device in found.items():
        there = torch.device(kind)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda d=there: d)
        assert pick_device() == torch.device(device)
    monkeypatch.setenv("MNIST_LESSON_DEVICE", "cuda:0")
    assert pick_device() == torch.device("cuda:0")


# What the book's page says


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def understood(command):
    """Take a command of torchrun apart, as it and the package do."""
    args = get_args_parser().parse_args(command)
    assert args.module and args.training_script == "mnist_lesson"
    ours = parser().parse_args(args.training_script_args)
    assert ours.run is train
    return args, ours


def test_the_batch_script_starts_what_it_says(program, tmp_path):
    [script] = blocks("bash")
    path = tmp_path / "lenet.sh"
    path.write_text(script, "utf-8")
    subprocess.run([program("bash"), "-n", path], check=True)
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", script, re.M))
    srun, _, command = script.partition("srun ")[2].partition("torchrun ")
    assert shlex.split(srun) == ["--cpus-per-task=$SLURM_CPUS_PER_TASK"]
    command = command.replace('"$SLURM_NNODES"', "2")
    args, ours = understood(shlex.split(command.replace("\\\n", " ")))
    assert args.nnodes == options["nodes"] and args.rdzv_backend == "c10d"
    assert args.nproc_per_node == options["cpus-per-task"] and ours.resume
    assert options["ntasks-per-node"] == "1" and "requeue" in options


def test_the_job_starts_what_it_says():
    service, job = yaml.safe_load_all(*blocks("yaml"))
    name, spec = job["metadata"]["name"], job["spec"]
    assert service["kind"] == "Service" and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    assert (job["kind"], spec["completionMode"]) == ("Job", "Indexed")
    pod = spec["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    [container], [volume] = pod["containers"], pod["volumes"]
    assert container["command"] == ["torchrun"]
    args, ours = understood(container["args"])
    assert int(args.nnodes) == spec["completions"] == spec["parallelism"]
    # The first of the pods, by the name that the service gives it.
    assert args.rdzv_endpoint == f"{name}-0.{pod['subdomain']}:29500" and ours.resume
    [mount] = container["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert Path(ours.checkpoint_dir).is_relative_to(mount["mountPath"])


def test_the_other_commands_are_understood():
    commands = re.findall("^(?:mnist-lesson|torchrun) .*$", PAGE, re.M)
    assert len(commands) == 5
    for line in commands:
        name, *rest = shlex.split(line, comments=True)
        understood(rest) if name == "torchrun" else parser().parse_args(rest)
