"""Checkpoints: what a training run saves after each epoch, to go on from there.

A folder holds one training run. `begin` writes the run's identity into it before the
first step, and from then on only epochs with that identity count: those of an earlier
run are never taken for this one's, at whatever moment either was killed.
"""

import hashlib
import io
import json
import re
import secrets
import warnings
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ._system import atomic_write
from .data import Digits
from .events import EndEpoch, Evaluation, History

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Checkpoint:
    """A training run after one of its epochs.

    Parameters
    ----------
    run
        The run's identity, drawn at random when it began.
    settings
        What its steps depend on, beside the weights: the trainer's numbers, the
        digits' fingerprints, the layers.
    history
        Its epochs so far.
    model, optimizer
        Their state dictionaries.
    """

    run: str
    settings: dict[str, Any]
    history: History
    model: dict[str, Any]
    optimizer: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write it into the run's folder, whole or not at all.

        Raises
        ------
        RuntimeError
            If another training run has begun there meanwhile.
        OSError
            If the file cannot be written: no space is left, say.
        """
        if _identity(folder) not in (self.run, None):
            raise RuntimeError(
                f"{folder}: another training run has begun in this folder, so this one "
                "cannot go on saving there; give each run its own checkpoint_dir"
            )
        content = vars(self) | {"history": [asdict(event) for event in self.history]}
        buffer = io.BytesIO()
        torch.save(content, buffer)
        _write(_path(folder, len(self.history) - 1), buffer.getbuffer())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint, to the CPU. Nothing in the file is run, whoever made it.

        Raises
        ------
        ValueError
            If the file is not a whole checkpoint of `Trainer.fit`.
        OSError
            If it cannot be opened.
        """
        file = io.BytesIO(path.read_bytes())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is wrong is said below
                # PyTorch does not look at the checksums that it writes.
                if damaged := zipfile.ZipFile(file).testzip():
                    raise ValueError(f"{damaged} is damaged")
                file.seek(0)
                content = torch.load(file, map_location="cpu", weights_only=True)
            history = History(_event(**event) for event in content["history"])
            checkpoint = cls(**content | {"history": history})
            settings = checkpoint.settings
            for part in settings, settings["layers"], checkpoint.model:
                if not isinstance(part, dict):
                    raise TypeError(f"{type(part)} is not a dictionary")
            if path.name != _path(path.parent, history[-1].epoch).name:
                raise ValueError("it has the name of another epoch")
        except Exception as error:  # a foreign file may raise anything
            raise ValueError(
                f"{path}: expected a checkpoint of Trainer.fit, but it cannot be read "
                "as one; remove it"
            ) from error
        return checkpoint

    def check_settings(self, settings: dict[str, Any], path: Path) -> None:
        """Raise ValueError if the run had other settings than these."""
        for name, value in settings.items():
            had = self.settings.get(name)
            if had != value and not isinstance(value, dict):
                raise ValueError(
                    f"{path}: expected a training run with {name} = {value}, but this "
                    f"one had {had}; resume with the same settings, or choose another "
                    "checkpoint_dir"
                )

    def check_model(self, model: nn.Module, path: Path, *, layers: bool) -> None:
        """Raise ValueError if the weights are not a model's own, name by name.

        With `layers`, those without weights must be the same, too.
        """
        pairs = [(_shapes(model.state_dict()), _shapes(self.model))]
        if layers:
            pairs.append((describe_layers(model), self.settings["layers"]))
        for ours, its in pairs:
            for name in ours | its:
                if ours.get(name) != its.get(name):
                    raise ValueError(
                        f"{path}: expected the weights of a {type(model).__name__}, "
                        f"but this checkpoint is of another model: {name} is "
                        f"{its.get(name, 'missing')} there, and here "
                        f"{ours.get(name, 'missing')}"
                    )


def begin(folder: Path) -> str:
    """Give a new training run its identity in a folder, which is made if need be.

    Epochs of an earlier run are removed, once they no longer count.
    """
    run = secrets.token_hex(8)
    _write(folder / RUN_FILE, json.dumps({"run": run}).encode())
    for path in (*checkpoint_files(folder).values(), *_leftovers(folder)):
        path.unlink()
    return run


def newest(folder: Path) -> tuple[Checkpoint, Path] | None:
    """Find the last epoch of the run that a folder holds, if it has finished one.

    What a killed run left half-written is removed.
    """
    run = _identity(folder)
    for path in _leftovers(folder):
        path.unlink()
    for path in reversed(checkpoint_files(folder).values()):
        checkpoint = Checkpoint.load(path)
        if run in (checkpoint.run, None):
            return checkpoint, path
    return None


def of_epoch(folder: Path, epoch: int) -> tuple[Checkpoint, Path]:
    """Find an epoch of the run that a folder holds."""
    path = _path(folder, epoch)
    try:
        checkpoint = Checkpoint.load(path)
    except FileNotFoundError:
        has = ", ".join(map(str, checkpoint_files(folder))) or "none"
        raise FileNotFoundError(
            f"{path}: there is no such checkpoint; of the epochs, {folder} has {has}"
        ) from None
    if _identity(folder) not in (checkpoint.run, None):
        raise ValueError(
            f"{path}: this epoch is of an earlier training run than the one that has "
            "begun in this folder since"
        )
    return checkpoint, path


def checkpoint_files(folder: Path) -> dict[int, Path]:
    """List a folder's checkpoints by epoch, in order."""
    found = {}
    for path in folder.glob("epoch_*.pt"):
        if match := re.fullmatch(r"epoch_(\d+)\.pt", path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def describe_digits(digits: Digits | None) -> str:
    """Say how many digits these are, and which: the fingerprint is of all of them."""
    if not digits:
        return "none"
    sha = hashlib.sha256(digits.images.data)
    sha.update(digits.labels.data)
    return f"{len(digits):,} digits (fingerprint {sha.hexdigest()[:12]})"


def describe_layers(model: nn.Module) -> dict[str, str]:
    """Say of what kind each layer is, those without weights, too."""
    return {
        f"layer {name}": re.sub(r" at 0x\w+", "", repr(layer))  # no addresses
        for name, layer in model.named_modules()
        if not list(layer.children())
    }


def _shapes(state: dict[str, Any]) -> dict[str, str]:
    """Say of what shape and type each entry of a state dictionary is."""
    return {
        name: f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
        if isinstance(value, torch.Tensor)
        else type(value).__name__
        for name, value in state.items()
    }


def _event(
    epoch: int, step: int, train: dict[str, float], validation: dict[str, float] | None
) -> EndEpoch:
    """Make an event of what `asdict` made of one."""
    judged = None if validation is None else Evaluation(**validation)
    return EndEpoch(epoch, step, Evaluation(**train), judged)


def _path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch_{epoch}.pt"


def _leftovers(folder: Path) -> list[Path]:
    """Find the temporary files of a run that was killed while it wrote one."""
    return [*folder.glob(".epoch_*.pt-*"), *folder.glob(f".{RUN_FILE}-*")]


def _identity(folder: Path) -> str | None:
    """Read which run a folder holds; None if it does not say."""
    try:
        run: str = json.loads((folder / RUN_FILE).read_bytes())["run"]
        return run
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{folder / RUN_FILE}: expected the identity of a training run, but it "
            "cannot be read as one; choose another checkpoint_dir, or remove this one"
        ) from error


def _write(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole, or say why it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise OSError(
            error.errno,
            f"no checkpoint can be written there ({error.strerror}); the epochs saved "
            "before are as they were",
            str(path),
        ) from error
