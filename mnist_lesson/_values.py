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
    """Give a path in which `~` is the user's home folder, if there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no home: the message about the path as it is says more
        return Path(path)


def to_array(values: Any) -> np.ndarray:
    """Give an array in native byte order, of an array, a list or any tensor.

    A tensor may be sparse, on a device, or waiting for a gradient.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().to_dense().cpu()
        if values.dtype == torch.bfloat16:  # NumPy has no such type
            values = values.float()
        values = values.numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError(
                "expected one array, but the parts of what was given differ in shape"
            ) from None
        raise
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def to_tensor(values: Any) -> torch.Tensor:
    """Give a dense tensor without a gradient; a tensor stays on its device.

    PyTorch takes arrays neither backwards nor read-only nor in foreign byte order.
    """
    if isinstance(values, torch.Tensor):
        return values.detach().to_dense()
    return torch.from_numpy(np.require(to_array(values), requirements=["C", "W"]))


def described(values: Any) -> str:
    """Say in a message what was given: dtype and shape, or what else it is."""
    if isinstance(values, type):
        return f"the class {values.__name__}"
    array = values if isinstance(values, torch.Tensor) else to_array(values)
    if array.ndim or values is array:
        return f"{array.dtype} of shape {tuple(array.shape)}"
    return f"an object of type {type(values).__name__}"
