"""Where to compute, and what differs from one device to the next."""

import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn

from .ranks import BACKENDS, launched

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Lend = Callable[[], AbstractContextManager[None]]
# What CUDA and HIP say of a GPU that nothing is compiled for.
NO_KERNEL = "no kernel image|invalid device function|NoBinaryForGpu"
_TURN = threading.RLock()  # held by the thread that draws from PyTorch's generators


def pick_device() -> torch.device:
    """Choose where to compute.

    Returns
    -------
    torch.device
        What ``$MNIST_LESSON_DEVICE`` names ("cpu", "cuda:1", "mps" …); if it is not
        set, the accelerator that PyTorch finds (CUDA, MPS, XPU …), else the CPU. Of
        several processes that `torchrun` started, each gets a GPU of its own.

    Raises
    ------
    ValueError
        If the variable names a device that PyTorch cannot use here.

    Warns
    -----
    UserWarning
        If there is an accelerator, but this PyTorch cannot compute on it, as on GPUs
        of some years ago: then it is the CPU.
    """
    if name := os.environ.get("MNIST_LESSON_DEVICE"):
        return find_device(name, "$MNIST_LESSON_DEVICE")
    cpu, device = torch.device("cpu"), None
    if torch.accelerator.is_available():
        device = torch.accelerator.current_accelerator()
    if device is None or (launched() and device.type not in BACKENDS):
        return cpu  # Apple's GPUs cannot exchange what ranks add up
    if launched():
        return find_device(device, "torchrun")
    try:
        _try_sum(device)
    except RuntimeError as error:
        if not re.search(NO_KERNEL, str(error)):
            raise
        warnings.warn(
            f"PyTorch cannot compute on the {device.type} device that it finds here "
            f"({_first_sentence(error)}), so the CPU does",
            stacklevel=2,
        )
        return cpu
    return device


def find_device(name: torch.device | str, source: str) -> torch.device:
    """Turn a name into a device that is really there; `source` is who named it."""
    try:
        device = torch.device(name)
        if device.index is None and device.type in BACKENDS and launched():
            device = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
        _try_sum(device)
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        raise ValueError(
            f"{source} names {name!r}, which PyTorch cannot use on this machine "
            f'({_first_sentence(error)}); try "cpu"'
        ) from error
    return device


def _try_sum(device: torch.device) -> None:
    """Compute on a device; that it has memory does not mean that it can."""
    if device.type != "cpu":
        (torch.ones(1, device=device) + 1).item()


def _first_sentence(error: Exception) -> str:
    """Give what PyTorch says first; behind that come hints for its developers."""
    return str(error).splitlines()[0].split(". ")[0]


def uncompiled(model: nn.Module) -> nn.Module:
    """Give the model that `torch.compile` has wrapped, or the model itself."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def input_format(model: nn.Module) -> dict[str, Any]:
    """Tell where and in what format a model takes its inputs, for `Tensor.to`.

    Convolutions on the CPU are faster with the channels innermost in memory. Only
    PyTorch's layers and ours get them so: others may `view`, which fails on this order.
    """
    model = uncompiled(model)
    tensors = [*model.parameters(), *model.buffers()]
    device = tensors[0].device if tensors else torch.device("cpu")
    dtypes = (p.dtype for p in model.parameters() if p.is_floating_point())
    layers, known = [*model.modules()], ("torch.nn.", f"{__package__}.")
    channels_last = (
        device.type == "cpu"
        and any(isinstance(layer, nn.Conv2d) for layer in layers)
        and all(type(layer).__module__.startswith(known) for layer in layers)
    )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = next(dtypes, torch.float32)
    return {"device": device, "dtype": dtype, "memory_format": layout}


def fusible(parameters: list[nn.Parameter]) -> bool:
    """Tell whether the fused kernel may be used: it reads memory from end to end.

    (On a CPU, PyTorch 2.13's leaves most 16-bit numbers as they are:
    https://github.com/pytorch/pytorch/issues/191763.)
    """
    return all(
        p.dtype in (torch.float32, torch.float64)
        and (p.is_contiguous() or p.is_contiguous(memory_format=torch.channels_last))
        for p in parameters
    )


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in bfloat16 where the hardware does, which is faster there."""
    if device.type == "xpu" or (
        device.type == "cuda"
        and torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        # No cache: inside the caller's own block it would outlive a step.
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
    return full_precision(device)


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the weights' own type, even inside the caller's autocast."""
    kind = device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def undisturbed(method: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a trainer's method train inside the caller's no_grad, inference or autocast.

    In autocast, PyTorch would go on with the first step's weights: until the outermost
    block ends, it keeps them as they were when it converted them.
    """

    @wraps(method)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        device = getattr(args[0] if args else None, "device", torch.device("cpu"))
        with torch.inference_mode(False), torch.enable_grad(), full_precision(device):
            try:
                return method(*args, **kwargs)
            finally:
                torch.clear_autocast_cache()  # the caller's, of the weights before

    return wrapped


@contextmanager
def random_numbers(seed: int, device: torch.device) -> Iterator[Lend]:
    """Draw PyTorch's random numbers from generators of our own, inside the block only.

    Yields `lend`: inside `with lend():` the caller's own sequence goes on. Threads take
    turns.
    """
    other = {  # dropout on an accelerator draws from a generator there
        place.type: torch.Generator(place).manual_seed(seed % 2**63).get_state()
        for place in (torch.device("cpu"), device)
    }

    def exchange() -> None:
        for kind, state in other.items():
            where = () if kind == "cpu" else (device,)
            module: Any = torch.get_device_module(device) if where else torch.random
            other[kind] = module.get_rng_state(*where)
            module.set_rng_state(state, *where)

    @contextmanager
    def lend() -> Iterator[None]:
        exchange()
        _TURN.release()
        try:
            yield
        finally:
            _TURN.acquire()
            exchange()

    with _TURN:
        exchange()
        try:
            yield lend
        finally:
            exchange()
