"""What users hand over, in the one form that the package computes with."""

import operator
import os
import reprlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """Give a count as Python's own integer; NumPy's and PyTorch's are counts, too."""
    with suppress(TypeError):
        if (number := operator.index(value)) >= least:
            return number
    raise ValueError(f"{name} must be a whole number from {least}, not {short(value)}")


def real_number(name: str, value: Any) -> float:
    """Give a number as Python's own; a tensor or an array of one number is one, too."""
    with suppress(TypeError, ValueError, OverflowError, RuntimeError):
        array = to_array(value)
        if array.dtype.kind in "biufO":
            return float(array.item())
    raise ValueError(f"{name} must be one number, not {short(value)}")


def home_path(path: str | os.PathLike[str]) -> Path:
    """Give a path in which `~` is the user's home folder, if there is one."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises without one


def to_array(values: Any) -> np.ndarray:
    """Give an array in native byte order, of an array, a list or any tensor.

    A tensor may be sparse, on a device, or require a gradient; so may those in a list.
    """
    if isinstance(values, torch.Tensor):
        if values.is_meta:
            raise ValueError('a tensor on the device "meta" has no numbers')
        values = to_tensor(values).cpu()
        try:
            values = values.numpy()
        except TypeError:  # bfloat16, say, which NumPy lacks
            values = values.float().numpy()
    elif isinstance(values, list | tuple):
        # NumPy would ask each tensor in it for numbers, and be refused.
        values = [
            to_array(v) if isinstance(v, torch.Tensor | list | tuple) else v
            for v in values
        ]
    try:
        array = np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            "expected one array, but the parts of what was given differ in shape"
        ) from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def to_tensor(values: Any) -> torch.Tensor:
    """Give a dense tensor without a gradient; a tensor stays on its device.

    `torch.from_numpy` refuses negative strides and foreign byte order, and warns of
    read-only arrays.
    """
    if isinstance(values, torch.Tensor):
        tensor = values.detach()
        tensor = tensor.dequantize() if tensor.is_quantized else tensor.to_dense()
        return tensor.resolve_conj().resolve_neg()
    return torch.from_numpy(np.require(to_array(values), requirements=["C", "W"]))


def described(values: Any) -> str:
    """Say in a message what was given: dtype and shape, or what else it is."""
    if isinstance(values, type):
        return f"the class {values.__name__}"
    array = values if isinstance(values, torch.Tensor) else to_array(values)
    if array.ndim or values is array:
        return f"{array.dtype} of shape {tuple(array.shape)}"
    return f"an object of type {type(values).__name__}"


def short(value: Any) -> str:
    """Show a value in a message: on one line, and not all of a large one."""
    return " ".join(reprlib.repr(value).split())
