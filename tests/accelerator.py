"""A make-believe accelerator, for machines that have none.

`with emulated("mps")` plays a Mac's GPU, which has no float64, and `with
emulated("cuda")` one of NVIDIA's, which has. Either is what PyTorch finds, and its
tensors say that they are there. They are in the CPU's memory all the same: a mark on
its storage tells whether a tensor is "on" the device. What real ones refuse is refused
in their words: to compute with tensors of both sides, to become an array, float64 on a
Mac, and another device's generator. The device has a random generator of its own.

In a process of its own, a notebook's kernel for instance, `play("mps")` does it for
good. PyTorch keeps modes for each thread: it is played in the one that asks.
"""

from contextlib import ExitStack, contextmanager, nullcontext
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

NO_FLOAT64 = (
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support "
    "float64. Please use float32 instead."
)
CPU = torch.device("cpu")


@contextmanager
def emulated(kind):
    """Let PyTorch have an accelerator, "mps" or "cuda", and give its device."""
    device = torch.device(kind, 0)
    generator = _Generator(device)
    with ExitStack() as stack:
        for where, functions in _replaced(device, generator).items():
            for name, function in functions.items():
                # create: no two versions of PyTorch have all of them.
                stack.enter_context(patch.object(where, name, function, create=True))
        stack.enter_context(_Calls(device, generator))
        stack.enter_context(_Kernels(device, generator))
        yield device


def play(kind):
    """Emulate until the process ends."""
    _playing.append(emulated(kind))
    return _playing[-1].__enter__()


_playing = []


def _replaced(device, generator):
    """Give what PyTorch's modules say of a device, and of its generator."""
    there = {"is_available": lambda: True, "device_count": lambda: 1}
    there["synchronize"] = there["empty_cache"] = lambda *args, **kwargs: None
    there["current_device"] = lambda: 0
    random = {
        "manual_seed": generator.manual_seed,
        "manual_seed_all": generator.manual_seed,
        "initial_seed": generator.initial_seed,
        "get_rng_state": lambda *args, **kwargs: generator.get_state(),
        "get_rng_state_all": lambda: [generator.get_state()],
        "set_rng_state": lambda state, *args, **kwargs: generator.set_state(state),
        "set_rng_state_all": lambda states: generator.set_state(states[0]),
    }
    accelerator = {
        "current_accelerator": lambda *args, **kwargs: torch.device(device.type),
        "current_device_index": lambda: 0,
        "current_device_idx": lambda: 0,
    }
    one = {"is_bf16_supported": lambda *args, **kwargs: False}
    backend = {"is_available": lambda: True, "is_built": lambda: True}
    return {
        torch.accelerator: there | accelerator,
        getattr(torch, device.type): there | random | one,
        getattr(torch.backends, device.type): backend,
        torch: {"Generator": _Generator},
        torch.serialization: {
            "_package_registry": [
                (0, *_storages(device)),  # before all others
                *torch.serialization._package_registry,
            ]
        },
    }


def _storages(device):
    """Give what tells torch.save and torch.load where numbers are and belong."""

    def location(storage):
        return str(device) if getattr(storage, "on_device", False) else None

    def restore(storage, location):
        if torch.device(location).type != device.type:
            return None
        storage.on_device = True
        return storage

    return location, restore


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


def _is_on(tensor):
    return getattr(tensor.untyped_storage(), "on_device", False)


def _put(tensor, on_device, device):
    """Mark a tensor as being on the device, or not."""
    if on_device and device.type == "mps" and tensor.dtype == torch.float64:
        raise TypeError(NO_FLOAT64)
    tensor.untyped_storage().on_device = on_device
    return tensor


class _Calls(TorchFunctionMode):
    """See what is called by name: what makes and moves tensors, and asks for arrays."""

    def __init__(self, device, generator):
        super().__init__()
        self.ours, self.generator = device, generator

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if name == "__get__" and first is not None:
            answer = self.attribute(getattr(func.__self__, "__name__", ""), first)
            return func(*args, **kwargs) if answer is None else answer
        if first is not None and name in ("to", "cpu", "cuda", "mps"):
            if name != "to":
                kwargs |= {"device": kwargs.get("device", name)}
            return self.move(first, *args[1:], **kwargs)
        if name == "get_device" and first is not None:
            return self.ours.index if _is_on(first) else -1
        if name in ("numpy", "__array__") and _is_on(first):
            raise TypeError(
                f"can't convert {self.ours} device type tensor to numpy. Use "
                "Tensor.cpu() to copy the tensor to host memory first."
            )
        if name == "pin_memory":
            return first
        if name in ("__deepcopy__", "new_tensor") and "device" not in kwargs:
            return self.put(func(*args, **kwargs), _is_on(first))
        if self.is_ours(kwargs.get("device")):
            kwargs["device"] = CPU
            self.check(kwargs.get("generator"), self.ours)
            with self.generator.instead():
                return self.put(func(*args, **kwargs), True)
        if kwargs.get("generator") is not None:
            on = first is not None and _is_on(first)
            self.check(kwargs["generator"], self.ours if on else CPU)
        return func(*args, **kwargs)

    def attribute(self, name, tensor):
        """Answer what a tensor is asked of its place; None to what it may say."""
        on = _is_on(tensor)
        if name == "device" and on:
            return self.ours
        if name == "is_cpu" and on:
            return False
        return on if name == f"is_{self.ours.type}" else None

    def move(self, tensor, *args, copy=False, **kwargs):
        """Do as `Tensor.to` does."""
        if args and isinstance(args[0], torch.Tensor):
            like, *args = args
            kwargs |= {"device": self.device_of(like), "dtype": like.dtype}
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        was = _is_on(tensor)
        becomes = was if device is None else self.is_ours(device)
        with torch._C.DisableTorchFunction():
            moved = tensor.to(
                dtype=dtype or tensor.dtype,
                copy=copy or was != becomes,
                memory_format=layout or torch.preserve_format,
            )
        return moved if was == becomes else self.put(moved, becomes)

    def put(self, tensor, on_device):
        return _put(tensor, on_device, self.ours)

    def device_of(self, tensor):
        return self.ours if _is_on(tensor) else CPU

    def is_ours(self, device):
        if not isinstance(device, str | torch.device):
            return False
        device = torch.device(device)
        return device.type == self.ours.type and device.index in (None, 0)

    def check(self, generator, device):
        """Refuse a generator of the other side."""
        if generator is not None and generator.device.type != device.type:
            raise RuntimeError(
                f"Expected a '{device.type}' device type for generator but found "
                f"'{generator.device.type}'"
            )


class _Kernels(TorchDispatchMode):
    """See what is computed, the steps of backward included, and where."""

    def __init__(self, device, generator):
        super().__init__()
        self.ours, self.generator = device, generator

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunction():  # we look at tensors as they are
            return self.compute(func, args, kwargs or {})

    def compute(self, func, args, kwargs):
        inputs = [*_tensors(*args, *kwargs.values())]
        if not any(map(_is_on, inputs)):
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name == "copy_":  # the one kernel from side to side
            return func(*args, **kwargs)
        if name in ("index", "index_put", "index_put_"):
            # The places in a tensor may be named from the CPU.
            inputs = [args[0], *args[2:3]]
            if not _is_on(args[0]) and not any(map(_is_on, inputs)):
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
