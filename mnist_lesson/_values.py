"""What users hand over, in the one form that the package computes with."""

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """Give a count as Python's own integer; NumPy's and PyTorch's are counts, too."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")
    return number


def number(name: str, value: Any) -> float:
    """Give a number as Python's own float; NumPy's and PyTorch's are numbers, too."""
    try:
        if not isinstance(value, str | bytes):
            return float(value)
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ValueError(f"{name} must be a number, not {value!r}")


def home_path(path: str | os.PathLike[str]) -> Path:
    """Give a path in which `~` is the user's home folder."""
    return Path(path).expanduser()


def to_array(values: Any) -> np.ndarray:
    """Give an array in native byte order, of an array, a list or any tensor.

    A tensor may be sparse, on a device, or waiting for a gradient.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().to_dense().cpu()
        if values.dtype == torch.bfloat16:  # NumPy has no such type
            values = values.float()
        values = values.numpy()
    array = np.asarray(values)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def to_tensor(values: Any) -> torch.Tensor:
    """Give a dense tensor without a gradient; a tensor stays on its device.

    PyTorch takes arrays neither backwards nor read-only nor in foreign byte order.
    """
    if isinstance(values, torch.Tensor):
        return values.detach().to_dense()
    return torch.from_numpy(np.require(to_array(values), requirements=["C", "W"]))
