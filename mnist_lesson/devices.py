"""Where to compute, and what differs from one device to the next."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn


def pick_device() -> torch.device:
    """Choose where to compute: the accelerator that PyTorch finds, else the CPU.

    ``$MNIST_LESSON_DEVICE`` ("cpu", "cuda:1", "mps" …) overrides the choice.

    Raises
    ------
    ValueError
        If the variable names a device that PyTorch cannot use here.
    """
    wanted = os.environ.get("MNIST_LESSON_DEVICE")
    if wanted:
        return find_device(wanted, "$MNIST_LESSON_DEVICE")
    found = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
    return found or torch.device("cpu")


def find_device(name: torch.device | str, source: str) -> torch.device:
    """Turn a name into a device that is really there; `source` is who named it."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        if device.type == "meta":
            raise NotImplementedError("its tensors hold no numbers")
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ValueError(
            f"{source} names {name!r}, which PyTorch cannot use on this machine "
            f'({str(error).splitlines()[0]}); try "cpu"'
        ) from error
    return device


def device_of(model: nn.Module) -> torch.device:
    """Tell where a model is. One without parameters and buffers is on the CPU."""
    tensors = chain(model.parameters(), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def input_format(model: nn.Module) -> dict[str, Any]:
    """Tell in which format a model wants its inputs, as arguments of `Tensor.to`.

    That is in the type of its weights; and, for convolutions on the CPU, with the
    channels innermost in memory: each hands this order on to the next, and all are
    faster. Only PyTorch's layers and ours are known to work so. In anybody else's code
    there may be a `view`, which needs the usual order.
    """
    weights = (p for p in model.parameters() if p.is_floating_point())
    weight = next(weights, torch.empty(0, dtype=torch.float32, device="cpu"))
    layers, ours = [*model.modules()], ("torch.nn.", f"{__package__}.")
    channels_last = (
        weight.device.type == "cpu"
        and any(isinstance(layer, nn.Conv2d) for layer in layers)
        and all(type(layer).__module__.startswith(ours) for layer in layers)
    )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return {"dtype": weight.dtype, "memory_format": layout}


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in bfloat16 where the hardware does, which is faster there."""
    if device.type == "xpu" or (
        device.type == "cuda"
        and torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


class RandomNumbers:
    """A sequence of random numbers of one's own, whatever else draws meanwhile.

    PyTorch has one generator for the CPU and one for each accelerator; dropout, say,
    takes from these. Within `with numbers.drawn():` they continue this sequence; before
    and afterwards, and within `with numbers.lent():`, they are the caller's. Threads
    take turns.
    """

    _turn = threading.RLock()

    def __init__(self, seed: int, device: torch.device) -> None:
        seed %= 2**63  # as much as a generator takes
        self._generators = [(torch.get_rng_state, torch.set_rng_state)]
        self._other = [torch.Generator("cpu").manual_seed(seed).get_state()]
        if device.type != "cpu":
            module = torch.get_device_module(device)
            get = partial(module.get_rng_state, device)
            put = partial(module.set_rng_state, device=device)
            with suppress(AssertionError, RuntimeError):  # not every device has one
                get()
                self._other += [torch.Generator(device).manual_seed(seed).get_state()]
                self._generators += [(get, put)]

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Draw from this sequence, and from nobody else's."""
        with self._turn:
            self._exchange()
            try:
                yield
            finally:
                self._exchange()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let others have their generators, and their turn, while this is drawn."""
        self._exchange()
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()
            self._exchange()

    def _exchange(self) -> None:
        """Put away the states that the generators have, and set those put away."""
        states = [get() for get, _ in self._generators]
        for (_, put), state in zip(self._generators, self._other, strict=True):
            put(state)
        self._other = states
