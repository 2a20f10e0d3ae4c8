"""A make-believe accelerator, for machines that have none.

`with emulated("mps")` plays a Mac's GPU, which has no float64, and `with
emulated("cuda")` one of NVIDIA's, which has. Either is what PyTorch finds, and its
tensors say that they are there. They are in the CPU's memory all the same: a mark on
their storage tells which. What real ones refuse is refused in their words: to compute
with tensors of both sides, to become an array, float64 on a Mac, and another device's
random generator; the device has its own.

In a process of its own, a notebook's kernel for instance, `play("mps")` does it for
good. PyTorch keeps modes for each thread: it is played in the one that asks.
"""

from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

NO_FLOAT64 = (
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support "
    "float64. Please use float32 instead."
)
_playing = []


def play(kind):
    """Emulate until the process ends."""
    _playing.append(emulated(kind))
    return _playing[-1].__enter__()


@contextmanager
def emulated(kind):
    """Let PyTorch have an accelerator, "mps" or "cuda", and give its device."""
    device = torch.device(kind, 0)
    own = _Generator(device)
    there = {"is_available": lambda: True, "device_count": lambda: 1}
    random = {
        "manual_seed": own.manual_seed,
        "manual_seed_all": own.manual_seed,
        "get_rng_state": lambda *_: own.get_state(),
        "set_rng_state": lambda state, *_: own.set_state(state),
        "is_bf16_supported": lambda **_: False,
    }

    def location(storage):
        return str(device) if _is_on(storage) else None

    def restore(storage, location):
        if torch.device(location).type == kind:
            storage.on_device = True
            return storage
        return None

    places = [(0, location, restore), *torch.serialization._package_registry]
    found = {"current_accelerator": lambda *_, **__: torch.device(kind)}
    # create: no two versions of PyTorch have all of them.
    with (
        patch.multiple(torch.accelerator, create=True, **there, **found),
        patch.multiple(getattr(torch, kind), create=True, **there, **random),
        patch.object(
            getattr(torch.backends, kind), "is_available", lambda: True, create=True
        ),
        patch.object(torch, "Generator", _Generator),
        patch.object(torch.serialization, "_package_registry", places),
        _Calls(own),
        _Kernels(own),
    ):
        yield device


class _Generator(torch.Generator):
    """A generator that may be a device's: the CPU's, with that device written on it."""

    def __new__(cls, device="cpu"):
        self = super().__new__(cls, "cpu")
        self.on = torch.device(device)
        return self

    @property
    def device(self):
        return self.on

    @contextmanager
    def instead(self):
        """Draw from this one where the CPU's own would be drawn from."""
        before = torch.get_rng_state()
        torch.set_rng_state(self.get_state())
        try:
            yield
        finally:
            self.set_state(torch.get_rng_state())
            torch.set_rng_state(before)


def _tensors(*arguments):
    """Find the tensors among what a kernel takes or gives: alone, or in lists."""
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _tensors(*argument)


def _is_on(it):
    storage = it.untyped_storage() if isinstance(it, torch.Tensor) else it
    return getattr(storage, "on_device", False)


def _put(tensor, on, device):
    """Mark a tensor as being on the device, or not."""
    if on and device.type == "mps" and tensor.dtype == torch.float64:
        raise TypeError(NO_FLOAT64)
    tensor.untyped_storage().on_device = on
    return tensor


class _Calls(TorchFunctionMode):
    """See what is called by name: what makes and moves tensors, and asks for arrays."""

    def __init__(self, generator):
        super().__init__()
        self.ours, self.generator = generator.device, generator

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        on = first is not None and _is_on(first)
        if name == "__get__" and on:
            answers = {
                "device": self.ours,
                "is_cpu": False,
                f"is_{self.ours.type}": True,
            }
            attribute = getattr(func.__self__, "__name__", "")
            return answers.get(attribute) if attribute in answers else func(*args)
        if name == "get_device" and on:
            return 0
        if name in ("numpy", "__array__") and on:
            raise TypeError(
                f"can't convert {self.ours} device type tensor to numpy. Use "
                "Tensor.cpu() to copy the tensor to host memory first."
            )
        if name in ("to", "cpu", "cuda", "mps") and first is not None:
            if name != "to":
                kwargs["device"] = name
            return self.move(*args, **kwargs)
        if name in ("__deepcopy__", "new_tensor") and "device" not in kwargs:
            return _put(func(*args, **kwargs), on, self.ours)
        makes = self.is_ours(kwargs.get("device"))
        side = self.ours if on or makes else torch.device("cpu")
        if (given := kwargs.get("generator")) and given.device.type != side.type:
            raise RuntimeError(
                f"Expected a '{side.type}' device type for generator but found "
                f"'{given.device.type}'"
            )
        if not makes:
            return func(*args, **kwargs)
        with self.generator.instead():
            return _put(func(*args, **kwargs | {"device": "cpu"}), True, self.ours)

    def move(self, tensor, *args, copy=False, **kwargs):
        """Do as `Tensor.to` does."""
        if args and isinstance(args[0], torch.Tensor):
            like, *args = args
            place = self.ours if _is_on(like) else torch.device("cpu")
            kwargs |= {"device": place, "dtype": like.dtype}
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        was = _is_on(tensor)
        becomes = was if device is None else self.is_ours(device)
        with torch._C.DisableTorchFunction():
            moved = tensor.to(
                dtype=dtype or tensor.dtype,
                copy=copy or was != becomes,
                memory_format=layout or torch.preserve_format,
            )
        return moved if was == becomes else _put(moved, becomes, self.ours)

    def is_ours(self, device):
        if not isinstance(device, str | torch.device):
            return False
        device = torch.device(device)
        return device.type == self.ours.type and device.index in (None, 0)


class _Kernels(TorchDispatchMode):
    """See what is computed, the steps of backward included, and where."""

    def __init__(self, generator):
        super().__init__()
        self.ours, self.generator = generator.device, generator

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunction():  # we look at tensors as they are
            return self.compute(func, args, kwargs or {})

    def compute(self, func, args, kwargs):
        inputs, name = (
            [*_tensors(*args, *kwargs.values())],
            func.overloadpacket.__name__,
        )
        # copy_: the one kernel from side to side.
        if not any(map(_is_on, inputs)) or name == "copy_":
            return func(*args, **kwargs)
        if name in ("index", "index_put", "index_put_"):
            # The places in a tensor may be named from the CPU.
            inputs = [args[0], *args[2:3]]
            if not any(map(_is_on, inputs)):
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the "
                    "indexed tensor (cpu)"
                )
        # A single number may be on the CPU.
        if any(not _is_on(tensor) and tensor.dim() for tensor in inputs):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two "
                f"devices, {self.ours} and cpu! (in {func})"
            )
        if self.ours.type == "mps" and kwargs.get("dtype") == torch.float64:
            raise TypeError(NO_FLOAT64)
        draws = torch.Tag.nondeterministic_seeded in func.tags
        draws = draws and kwargs.get("generator") is None
        with self.generator.instead() if draws else nullcontext():
            outputs = func(*args, **kwargs)
        for output in _tensors(outputs):
            _put(output, True, self.ours)
        return outputs
