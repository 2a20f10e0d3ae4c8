"""The course's models on the command line: train, evaluate, predict, data."""

import argparse
import inspect
import json
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .checkpoints import OtherModel, restore, saved_epochs
from .data import Mnist, load_mnist
from .events import EndEpoch, EndIteration
from .inference import recognize
from .models import LeNet, LeNet5, MultilayerPerceptron, SoftmaxRegression
from .plotting import CostLogger
from .ranks import join, launched, lost_touch
from .training import Trainer
from .values import home_path, whole_number

MODELS = {
    **{"softmax": SoftmaxRegression, "mlp": MultilayerPerceptron},
    **{"lenet": LeNet, "lenet5": LeNet5},
}
FOLDER = Path("checkpoints")  # unless another is named; with a folder for each model
EXAMPLES = """\
examples:
  mnist-lesson train lenet             train LeNet, saved in checkpoints/lenet
  mnist-lesson train lenet --resume    go on where it was interrupted
  mnist-lesson evaluate                how good is it on the test digits?
  mnist-lesson predict photo.jpg       what does it see in a picture?

In two processes (the book's page "More machines" says when that pays):
  torchrun --nproc-per-node=2 -m mnist_lesson train lenet

exit status: 0 if all went well, 1 if not, 2 if the command is not understood,
130 after Ctrl-C
"""
SETTINGS = {  # of Trainer and of fit, whose defaults they have
    "epochs": "how often to go through the training digits",
    "batch_size": "how many digits a step learns from, in all processes together",
    "seed": "decides the first weights and the order of the digits",
    "learning_rate": "the highest rate of the schedule",
    "momentum": "the share of the velocity that each step keeps",
    "weight_decay": "strength of the L2 regularization",
    "schedule": "one-cycle or constant",
}
OF_FIT = ("epochs", "batch_size", "seed")
# What a process gets that is told to end, in seconds: to notice that another one died,
# and to end once it is interrupted. torchrun kills it after 30.
NOTICE, GRACE = 5, 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give the exit status."""
    # Of several processes the first one speaks.
    rank = int(os.environ["RANK"]) if launched() else 0
    if hasattr(sys.stdout, "reconfigure"):  # a file's name may have any characters
        sys.stdout.reconfigure(errors="backslashreplace")
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    warnings.showwarning = lambda message, *_: None if rank else say(message)
    try:
        try:
            with redirect_stderr(sys.stdout if rank else sys.stderr):
                args = parser().parse_args(arguments)
            return int(args.run(args))
        finally:
            print(end="", flush=True)
    except BrokenPipeError:  # somebody, `head` for example, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as if SIGPIPE had ended it
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except (OSError, ValueError, ArithmeticError, RuntimeError) as error:
        if not (rank and hasattr(error, "__notes__")):  # those rank 0 has said
            say(error)
        return 1


def parser() -> argparse.ArgumentParser:
    """Say what can be asked for."""
    top = argparse.ArgumentParser(
        prog="mnist-lesson",
        description="Train models on handwritten digits, and have them read yours.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Any, about: str, what: str = "") -> Any:
        sub = commands.add_parser(
            run.__name__, help=about, description=run.__doc__,
            usage=f"%(prog)s {what} [options]".replace("  ", " "),
        )  # fmt: skip
        sub.set_defaults(run=run, error=sub.error)
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        if run is not predict:
            sources = ("auto", "full", "sample")
            about = "which data set (default: MNIST, or the sample if it can't be had)"
            sub.add_argument("--source", choices=sources, default="auto", help=about)
        if run is not data:
            folder = FOLDER / "MODEL" if run is train else f"the newest in {FOLDER}"
            about = f"where the epochs are saved (default: {folder})"
            sub.add_argument("--checkpoint-dir", metavar="FOLDER", help=about)
            about = "cpu, cuda:1 and so on (default: an accelerator if there is one)"
            sub.add_argument("--device", help=about)
        if run in (evaluate, predict):
            about = "which epoch (default: the last one saved)"
            sub.add_argument("--epoch", type=int, help=about)
        return sub

    sub = command(train, "train a model, and save it after each epoch", "MODEL")
    sub.add_argument("model", metavar="MODEL", choices=MODELS, help=", ".join(MODELS))
    for name, about in SETTINGS.items():
        where: Any = Trainer.fit if name in OF_FIT else Trainer
        default = inspect.signature(where).parameters[name].default
        option, about = f"--{name.replace('_', '-')}", f"{about} (default: {default})"
        sub.add_argument(option, type=type(default), default=default, help=about)
    again = sub.add_mutually_exclusive_group()
    about = "go on after the last epoch saved; begin if there is none"
    again.add_argument("--resume", action="store_true", help=about)
    about = "remove the epochs of an earlier run in the folder"
    again.add_argument("--overwrite", action="store_true", help=about)
    command(evaluate, "judge a trained model on the test digits")
    sub = command(predict, "have a trained model read pictures of digits", "IMAGE ...")
    sub.add_argument("images", metavar="IMAGE", nargs="+", help="one digit in each")
    command(data, "say which data set is used; MNIST is fetched if need be")
    return top


@contextmanager
def ended_when_told() -> Iterator[None]:
    """End a command as if by Ctrl-C when the process is told to end.

    torchrun tells it to all when one has died. First they may notice that by
    themselves, and say so, however busy the machine is; then they are interrupted. But
    while a process waits deep in PyTorch, no handler of Python's runs. So a thread
    waits for the byte that each signal sends at once, and at last gives up with a word,
    before torchrun kills the process without one.
    """
    if not launched():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield
        return
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.signal(signal.SIGTERM, lambda *_: None)  # without one, no byte
    signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    done, main_thread = threading.Event(), threading.get_ident()

    def wait() -> None:
        with told, tell:  # open as long as this waits
            while (number := told.recv(1)[0]) not in (signal.SIGINT, signal.SIGTERM):
                pass
            if number == signal.SIGTERM and not done.wait(NOTICE):
                signal.pthread_kill(main_thread, signal.SIGINT)
            if done.wait(GRACE):
                return
            try:
                say(lost_touch(os.environ["RANK"], "it was told to end, and could not"))
            finally:
                os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    try:
        yield
    finally:
        done.set()


@ended_when_told()
def train(args: argparse.Namespace) -> int:
    """Train a model, and save it after each epoch."""
    folder = home_path(args.checkpoint_dir or FOLDER / args.model)
    names = "learning_rate", "momentum", "weight_decay", "schedule", "device"
    try:
        for name in OF_FIT:
            whole_number(name, getattr(args, name), int(name != "seed"))
        torch.manual_seed(args.seed % 2**63)
        settings = {name: getattr(args, name) for name in names}
        trainer = Trainer(MODELS[args.model](), **settings)
    except ValueError as error:
        args.error(str(error))

    def prepare() -> Mnist:
        if saved_epochs(folder) and not (args.resume or args.overwrite):
            raise ValueError(
                f"{folder}: there are epochs of an earlier run; add --resume to go on "
                "with it, --overwrite to replace it, or name another --checkpoint-dir"
            )
        return load_mnist(source=args.source)

    ranks = join(trainer.device)
    mnist = ranks.first(prepare)
    out, start = sys.stderr if args.json else sys.stdout, time.perf_counter()
    log, steps = CostLogger(out), -(-len(mnist.train) // args.batch_size)
    hidden = True if ranks.rank else None  # None: where there is no terminal
    with tqdm(total=args.epochs * steps, unit="batch", disable=hidden) as bar:

        def progress(event: EndIteration | EndEpoch) -> None:
            if isinstance(event, EndIteration):
                bar.update(event.step + 1 - bar.n)
            if bar.disable or isinstance(event, EndEpoch):
                with bar.external_write_mode(file=out):
                    log(event)

        with warnings.catch_warnings(action="ignore", category=UserWarning):
            history = trainer.fit(
                mnist.train, mnist.validation, epochs=args.epochs, seed=args.seed,
                batch_size=args.batch_size, checkpoint_dir=folder, resume=args.resume,
                event_handler=None if ranks.rank else progress,
            )  # fmt: skip
    finished = len(history) == args.epochs
    report = {
        **{"model": args.model, "source": mnist.source, "processes": ranks.count},
        **{"device": str(trainer.device), "seconds": time.perf_counter() - start},
        **{"checkpoint_dir": str(folder), "history": [*map(asdict, history)]},
    }
    answer(args, report, f"saved in {folder}" if finished else "")
    if not finished and not ranks.rank:
        kept = f"kept in {folder}: add --resume to go on" if history else "none kept"
        say(f"interrupted after {len(history)} of {args.epochs} epochs, {kept}")
    return 0 if finished else 130


def evaluate(args: argparse.Namespace) -> int:
    """Judge a trained model on the test digits."""
    trainer, path = trained(args)
    mnist = load_mnist(source=args.source)
    judged, model = trainer.evaluate(mnist.test), type(trainer.model).__name__
    report = {"model": model, "checkpoint": str(path), "source": mnist.source}
    line = (
        f"{model} ({path}) on {len(mnist.test):,} test digits ({mnist.source}): "
        f"cost {judged.cost:.4f}, accuracy {100 * judged.accuracy:.2f} %"
    )
    answer(args, report | {"digits": len(mnist.test), **asdict(judged)}, line)
    return 0


def predict(args: argparse.Namespace) -> int:
    """Have a trained model read pictures, each of one handwritten digit."""
    trainer, path = trained(args)
    found: list[dict[str, Any]] = []
    for image in args.images:
        try:
            seen = recognize(trainer.model, image)
        except (OSError, ValueError) as error:
            say(error)
            found.append({"file": image, "error": sentence(error)})
            continue
        sure = seen.probabilities.tolist()
        found.append({"file": image, "label": seen.label, "probabilities": sure})
        found[-1]["outlier"] = seen.outlier
        doubt = ", but it doesn't look like a digit" if seen.outlier else ""
        line = f"{image}: {seen.label} ({100 * max(sure):.1f} %){doubt}"
        if not args.json:
            print(line, flush=True)
    answer(args, {"checkpoint": str(path), "pictures": found}, "")
    return int(any("error" in picture for picture in found))


def data(args: argparse.Namespace) -> int:
    """Say which data set is used, and its size; MNIST is fetched if need be."""
    mnist = load_mnist(source=args.source)
    parts = {name: len(getattr(mnist, name)) for name in Mnist._fields[:3]}
    counts = (f"{number:,} {name}" for name, number in parts.items())
    line = f"source {mnist.source}, digits: {', '.join(counts)}"
    answer(args, {"source": mnist.source, **parts}, line)
    return 0


def trained(args: argparse.Namespace) -> tuple[Trainer, Path]:
    """Load a saved epoch into the model that it fits."""
    if not (folder := args.checkpoint_dir):
        every: list[Path] = []
        for run in FOLDER.glob("*"):
            with suppress(OSError):  # not ours to read
                every += saved_epochs(run).values()
        folder = max(every, key=os.path.getmtime, default=FOLDER / "*").parent
    folder = home_path(folder)
    epochs = saved_epochs(folder)
    if not epochs:
        raise FileNotFoundError(
            f"{folder}: there is no trained model; train one, for example with "
            "`mnist-lesson train lenet`, or name its folder with --checkpoint-dir"
        )
    epoch = max(epochs) if args.epoch is None else args.epoch
    for make in MODELS.values():
        model = make()
        with suppress(OtherModel):
            restore(folder, epoch, model, layers=True)
            return Trainer(model, device=args.device), epochs[epoch]
    raise ValueError(
        f"{epochs[epoch]}: this checkpoint is of none of the models that this command "
        f"trains ({', '.join(MODELS)}); restore it in Python, into its own model"
    )


def answer(args: argparse.Namespace, report: dict[str, Any], line: str) -> None:
    """Print what was found."""
    if args.json or line:
        print(json.dumps(report, indent=2) if args.json else line)


def sentence(what: object) -> str:
    """Say on one line what was wrong."""
    if isinstance(what, OSError) and what.filename and what.strerror:
        what = f"{what.filename}: {what.strerror}"
    return " ".join(str(what).split())


def say(what: object) -> None:
    """Write a line for people."""
    print(f"mnist-lesson: {sentence(what)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
