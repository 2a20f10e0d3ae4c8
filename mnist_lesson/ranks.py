"""Training in several processes at once, which `torchrun` starts.

Each process is called a rank. All of them hold the same weights and go through the same
batches; of each batch a rank computes its part, and what they find is added up. Alone,
a process exchanges nothing.
"""

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import nn

Result = TypeVar("Result")
PATIENCE = timedelta(minutes=5)  # for a rank that is silent; one that died is noticed
# Objects travel through the CPU's memory, and tensors from GPU to GPU.
BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "xpu": "cpu:gloo,xpu:xccl"}


def launched() -> bool:
    """Tell whether torchrun started this process, and others beside it."""
    started = "TORCHELASTIC_RUN_ID" in os.environ and dist.is_available()
    return started and int(os.environ["WORLD_SIZE"]) > 1


def join(device: torch.device) -> "Ranks":
    """Meet the other ranks, once; without torchrun there are none."""
    if launched() and not dist.is_initialized():
        with _in_touch(os.environ["RANK"]):
            backend = BACKENDS.get(device.type, "gloo")
            dist.init_process_group(backend, timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)
    if not (dist.is_available() and dist.is_initialized()):
        return Ranks()
    return Ranks(dist.get_rank(), dist.get_world_size())


@dataclass(frozen=True)
class Ranks:
    """Which of the processes that train together this is, and how many there are.

    What is exchanged is asked of all ranks in the same order, or they wait for each
    other in vain.
    """

    rank: int = 0
    count: int = 1

    def part(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Take this rank's rows of each; parts differ by one row at most."""
        if self.count == 1:
            return tensors
        return [t.tensor_split(self.count)[self.rank] for t in tensors]

    def merge(
        self, means: Sequence[torch.Tensor], share: float, parts: torch.Tensor
    ) -> None:
        """Make one result of all ranks', in place and in one message.

        Means over a rank's digits become means over all; `share` is how many of all
        this rank has. And `parts`, zero but for this rank's rows, becomes whole.
        """
        flat = torch.cat([mean.flatten() for mean in means])
        flat = flat * share if share else torch.zeros_like(flat)  # of none it is NaN
        message = torch.cat([flat, parts.flatten()])
        with _in_touch(self.rank):
            dist.all_reduce(message)
        sizes = [tensor.numel() for tensor in (*means, parts)]
        for tensor, new in zip((*means, parts), message.split(sizes), strict=True):
            tensor.copy_(new.view_as(tensor))

    def whole(self, part: torch.Tensor, rows: int) -> torch.Tensor:
        """Put the ranks' parts of a result together."""
        if self.count == 1:
            return part
        whole = part.new_zeros((rows, *part.shape[1:]))
        self.part([whole])[0].copy_(part)
        with _in_touch(self.rank):
            dist.all_reduce(whole)
        return whole

    def share(self, model: nn.Module) -> None:
        """Give every rank rank 0's weights, and running means if there are any."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                if isinstance(tensor, torch.Tensor):  # and no extra state
                    copy = tensor.contiguous()
                    with _in_touch(self.rank):
                        dist.broadcast(copy, src=0)
                    tensor.copy_(copy)

    def first(self, work: Callable[[], Result]) -> Result:
        """Have rank 0 alone do something; each gets its result, or its error."""
        if self.count == 1:
            return work()
        box: list[Any] = [None]
        if self.rank == 0:
            try:
                box = [work()]
            except Exception as error:
                box = [error]
        with _in_touch(self.rank):
            dist.broadcast_object_list(box, src=0)
        if isinstance(box[0], Exception):
            if self.rank:
                box[0].add_note("(it was raised in rank 0)")
            raise box[0]
        result: Result = box[0]
        return result

    def agree(self, settings: dict[str, Any]) -> None:
        """Refuse ranks that would train something else."""
        theirs: list[Any] = [None] * self.count
        if self.count > 1:
            with _in_touch(self.rank):
                dist.all_gather_object(theirs, settings)
            for rank, other in enumerate(theirs):
                for name, value in theirs[0].items():
                    if other[name] != value:
                        raise ValueError(
                            f"rank {rank} has {name} = {other[name]}, and rank 0 has "
                            f"{value}: start all with the same settings and digits"
                        )


@contextmanager
def _in_touch(rank: int | str) -> Iterator[None]:
    """Say in a sentence that another rank is gone."""
    try:
        yield
    except RuntimeError as error:
        why = str(error).partition(". ")[0].splitlines()[0].rpartition("] ")[2]
        raise ConnectionError(lost_touch(rank, why)) from error


def lost_touch(rank: int | str, why: str) -> str:
    """Say that a rank can no longer reach the others, and what to do."""
    return (
        f"rank {rank} lost touch with the other processes of this training run "
        f"({why}); start them all again, with resume to go on after the last saved "
        "epoch"
    )
