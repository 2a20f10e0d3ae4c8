"""What users hand over, in the one form that the package computes with."""

import operator
import os
import reprlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

# The others, bfloat16 and those of 8 bits, it has not.
NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """Give a count as Python's own integer; NumPy's and PyTorch's are counts, too."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(
            f"{name} must be a whole number from {least}, not {_shown(value)}"
        )
    return number


def real_number(name: str, value: Any) -> float:
    """Give a number as Python's own; a tensor or an array of one number is one, too."""
    try:
        array = to_array(value)
        if array.dtype.kind in "biufO":
            return float(array.item())
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    raise ValueError(f"{name} must be one number, not {_shown(value)}")


def home_path(path: str | os.PathLike[str]) -> Path:
    """Give a path in which `~` is the user's home folder, if there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no home: the message about the path as it is says more
        return Path(path)


def to_array(values: Any) -> np.ndarray:
    """Give an array in native byte order, of an array, a list or any tensor.

    A tensor may be sparse, on a device, or waiting for a gradient; so may those in a
    list.
    """
    if isinstance(values, torch.Tensor):
        if values.is_meta:
            raise ValueError('a tensor on the device "meta" has no numbers')
        values = to_tensor(values).cpu()
        if values.is_floating_point() and values.dtype not in NUMPY_FLOATS:
            values = values.float()
        values = values.numpy()
    elif isinstance(values, list | tuple):
        # NumPy would ask each tensor in it for numbers, and be refused.
        values = [
            to_array(v) if isinstance(v, torch.Tensor | list | tuple) else v
            for v in values
        ]
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


def _shown(value: Any) -> str:
    """Show a value in a message: on one line, and not all of a large one."""
    return " ".join(reprlib.repr(value).split())
