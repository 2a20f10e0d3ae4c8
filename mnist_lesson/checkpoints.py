"""Checkpoints: what a training run saves after each epoch, to go on from there.

A folder holds one training run. The run writes its identity there before its first
step, and from then on only epochs with that identity count: those of an earlier run
are never taken for this one's, at whatever moment either was killed. They are removed
after that step; if it fails, the folder is the earlier run's again.
"""

import hashlib
import io
import json
import re
import secrets
import warnings
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .data import Digits
from .devices import uncompiled
from .events import EndEpoch, Evaluation, History
from .ranks import Ranks
from .system import atomic_write
from .values import short


@dataclass
class Checkpoints:
    """A folder, and the training run that saves its epochs there, as ``epoch_0.pt`` ….

    `settings` are what its steps depend on beside `model` and `optimizer`: numbers, and
    which digits. `run` is its identity, drawn at random. A compiled model is saved as
    the one that it was made of, and either goes on with what the other has saved.
    """

    folder: Path
    model: nn.Module
    optimizer: torch.optim.Optimizer
    settings: dict[str, Any]
    run: str = ""
    before: str | None = None  # whose the folder was
    began: bool = False  # here, and has not made a step

    def __post_init__(self) -> None:
        self.model = uncompiled(self.model)
        self.layers = _layers(self.model)  # a repr may show what is learned

    def start(self, resume: bool, ranks: Ranks) -> History:
        """Begin a run in the folder, or go on after the last epoch of the one there.

        Of several ranks, the first alone reads its epochs, and writes there.
        """
        _want_plain(self.model)
        saved = ranks.first(lambda: self._find(resume))
        if saved is None:
            return History()
        fused = [group["fused"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(saved["optimizer"])
        for group, here in zip(self.optimizer.param_groups, fused, strict=True):
            group["fused"] = here  # not as on the device that saved it
        for parameter, state in self.optimizer.state.items():
            if (velocity := state.get("momentum_buffer")) is not None:
                # It must lie in memory as its weights do.
                state["momentum_buffer"] = torch.empty_like(parameter).copy_(velocity)
        self.model.load_state_dict(saved["model"])
        self.run = saved["run"]
        return History(saved["history"])

    def _find(self, resume: bool) -> dict[str, Any] | None:
        """Find the last epoch to go on from, and compare; or begin anew: None."""
        for half_written in ".epoch_*.pt-*", ".run.json-*":  # by a run that was killed
            for path in self.folder.glob(half_written):
                with suppress(OSError):  # it does no harm
                    path.unlink()
        self.before = _identity(self.folder)
        if resume:
            for path in reversed(saved_epochs(self.folder).values()):
                saved = _load(path)
                if self.before in (None, saved["run"]):
                    self._check(saved, path)
                    return saved
        if self.before is None:
            for path in saved_epochs(self.folder).values():
                _load(path)  # another program's are not ours to remove
        self.run = secrets.token_hex(8)
        self._identify(self.run)
        self.began = True
        return None

    def _identify(self, run: str) -> None:
        """Say in the folder whose it is."""
        _write(self.folder / "run.json", json.dumps({"run": run}).encode())

    def remove_earlier(self) -> None:
        """Remove the epochs of an earlier run, when a first step has succeeded."""
        self.began = False
        if _identity(self.folder) == self.run:  # or another has begun meanwhile
            for path in saved_epochs(self.folder).values():
                path.unlink(missing_ok=True)  # they no longer count

    def give_back(self) -> None:
        """Leave the folder to an earlier run, if the first step has failed."""
        with suppress(OSError):  # which would hide why it failed
            if self.began and _identity(self.folder) == self.run:
                if self.before:
                    self._identify(self.before)
                else:
                    (self.folder / "run.json").unlink()

    def _check(self, saved: dict[str, Any], path: Path) -> None:
        """Refuse an epoch of another run, before anything is changed."""
        for name, value in self.settings.items():
            had = saved["settings"].get(name)
            if had != value:
                raise ValueError(
                    f"{path}: expected a training run with {name} = {value}, but this "
                    f"one had {had}; resume with the same settings, or choose another "
                    "checkpoint_dir"
                )
        _compare(self.model, saved, path, layers=True)
        # The optimizer knows what it learns by its place alone.
        ours = self._learned()
        for here, there in zip_longest(ours, saved["settings"].get("learned", ours)):
            if here != there:
                raise ValueError(
                    f"{path}: expected a training run that learns the same parameters, "
                    f"in the same order, but where this one has {there or 'no more'}, "
                    f"the model has {here or 'no more'}; freeze the same ones, or "
                    "choose another checkpoint_dir"
                )

    def _learned(self) -> list[str]:
        """Name the parameters that the optimizer has, in its order."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        return [names[id(p)] for g in self.optimizer.param_groups for p in g["params"]]

    def save(self, history: History) -> None:
        """Save the last epoch of a history, whole or not at all."""
        if _identity(self.folder) not in (self.run, None):
            raise RuntimeError(
                f"{self.folder}: another training run has begun in this folder, so "
                "this one cannot go on saving there; give each run its own "
                "checkpoint_dir"
            )
        content = {
            "run": self.run,
            "settings": {
                **self.settings,
                "layers": self.layers,
                "learned": self._learned(),
            },
            "history": [asdict(event) for event in history],
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        _write(self.folder / f"epoch_{history[-1].epoch}.pt", buffer.getbuffer())


def saved_epochs(folder: Path) -> dict[int, Path]:
    """List a folder's checkpoints by epoch, in order."""
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            match = re.fullmatch(r"epoch_(\d+)\.pt", path.name)
            if match and path.is_file():
                found[int(match[1])] = path
    return dict(sorted(found.items()))


class OtherModel(ValueError):
    """A checkpoint is of another model."""


def restore(
    folder: Path, epoch: int, model: nn.Module, *, layers: bool = False
) -> None:
    """Give a model back the weights of an epoch; see `Trainer.restore`.

    With `layers`, those without weights must be the same, too.
    """
    path, epochs = folder / f"epoch_{epoch}.pt", saved_epochs(folder)
    if epoch not in epochs:
        raise FileNotFoundError(
            f"{path}: there is no such checkpoint; of the epochs, {folder} has "
            + (", ".join(map(str, epochs)) or "none")
        )
    saved = _load(path)
    if _identity(folder) not in (saved["run"], None):
        raise ValueError(
            f"{path}: this epoch is of an earlier training run than the one that has "
            "begun in this folder since"
        )
    model = uncompiled(model)
    _compare(model, saved, path, layers=layers)
    model.load_state_dict(saved["model"])
    torch.clear_autocast_cache()  # of the weights before, if the caller is in autocast


def fingerprint(digits: Digits | None) -> str:
    """Say how many digits these are, and which: the fingerprint is of all of them."""
    if not digits:
        return "none"
    sha = hashlib.sha256(digits.images.data)
    sha.update(digits.labels.data)
    return f"{len(digits):,} digits (fingerprint {sha.hexdigest()[:12]})"


def _load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, to the CPU. Nothing in the file is run, whoever made it."""
    file = io.BytesIO(path.read_bytes())
    try:
        with warnings.catch_warnings(action="ignore"):  # what is wrong is said below
            # PyTorch does not look at the checksums that it writes.
            if damaged := zipfile.ZipFile(file).testzip():
                raise ValueError(f"{damaged} is damaged")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        saved = {k: content[k] for k in ("run", "settings", "model", "optimizer")}
        saved["history"] = History(
            EndEpoch(
                event["epoch"],
                event["step"],
                Evaluation(**event["train"]),
                event["validation"] and Evaluation(**event["validation"]),
            )
            for event in content["history"]
        )
        if path.name != f"epoch_{saved['history'][-1].epoch}.pt":
            raise ValueError("it has the name of another epoch")
        saved["shapes"] = _shapes(saved["model"])
        saved["layers"] = dict(saved["settings"]["layers"])
    except Exception as error:  # a foreign file may raise anything
        raise ValueError(
            f"{path}: expected a checkpoint of Trainer.fit, but it cannot be read as "
            "one; remove it, or choose another folder"
        ) from error
    return saved


def _want_plain(model: nn.Module) -> None:
    """Refuse extra state that a checkpoint could hold, but nobody read again."""
    for name, value in model.state_dict().items():
        if isinstance(value, torch.Tensor):
            continue
        file = io.BytesIO()
        try:
            torch.save(value, file)
            file.seek(0)
            torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(
                f"{name} is {short(value)}, which no checkpoint can hold: let "
                "get_extra_state give tensors, numbers and texts, or lists and "
                "dictionaries of them"
            ) from error


def _compare(model: nn.Module, saved: Any, path: Path, *, layers: bool) -> None:
    """Refuse the weights of another model; `layers`: also if others have none."""
    ours, its = _shapes(model.state_dict()), saved["shapes"]
    if layers:
        ours, its = ours | _layers(model), its | saved["layers"]
    for name in ours | its:
        if ours.get(name) != its.get(name):
            raise OtherModel(
                f"{path}: expected the weights of a {type(model).__name__}, but this "
                f"checkpoint is of another model: {name} is "
                f"{its.get(name, 'missing')} there, and here "
                f"{ours.get(name, 'missing')}"
            )


def _shapes(state: dict[str, Any]) -> dict[str, str]:
    """Say of what type and shape each entry of a state dictionary is."""
    return {
        name: f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
        if isinstance(value, torch.Tensor)
        else "extra state"  # which may be anything
        for name, value in state.items()
    }


def _layers(model: nn.Module) -> dict[str, str]:
    """Say of what kind each layer is, those without weights, too."""
    return {
        f"layer {name}": re.sub(r" at 0x\w+", "", repr(layer))  # no addresses
        for name, layer in model.named_modules()
        if not list(layer.children())
    }


def _identity(folder: Path) -> str | None:
    """Read which run a folder holds; None if it does not say."""
    path = folder / "run.json"
    try:
        run: str = json.loads(path.read_bytes())["run"]
        if not re.fullmatch("[0-9a-f]{16}", run):
            raise ValueError(run)
        return run
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the identity of a training run, but it cannot be read "
            "as one; choose another checkpoint_dir, or remove this file"
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
