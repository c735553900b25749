"""The processes that train together, and the messages between them.

`torchrun` starts them and describes them in environment variables; without it there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """One process among those of a job.

    Args:
        rank: The number of this process, 0 to `world_size` - 1; number 0 alone writes files.
        world_size: The number of processes.
        local_rank: The number of this process, and of its CUDA device, on its machine.
        messages: The group for small messages, which lie on the CPU whatever the network runs on;
            None for a single process.

    Raises:
        ValueError: `rank` is not in [0, `world_size`), or `local_rank` is not in [0, `rank`].
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    messages: dist.ProcessGroup | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.local_rank <= self.rank < self.world_size:
            raise ValueError(
                f"rank must lie in 0..{self.world_size - 1} and local_rank in 0..rank,"
                f" got {self.rank} and {self.local_rank}"
            )

    @property
    def is_first(self) -> bool:
        """Whether this is the process which writes files and talks to the user."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Returns the device of this process: with 'auto' and 'cuda' each has its own GPU."""
        shared = name == "cuda" or (name == "auto" and torch.cuda.is_available())
        return f"cuda:{self.local_rank}" if shared and self.world_size > 1 else name

    def share(self, number: int) -> range:
        """Returns the indices of this process among `number` items, dealt out in turn."""
        return range(self.rank, number, self.world_size)

    def collect(self, own: list[Value]) -> list[Value]:
        """Puts what each process has of its `share` together again, in all of them."""
        parts = self.gather(own)
        longest = max(map(len, parts))
        return [part[k] for k in range(longest) for part in parts if k < len(part)]

    def gather(self, value: Value) -> list[Value]:
        """Returns the values of all processes, by rank, in all of them; they are pickled."""
        if self.world_size == 1:
            return [value]
        values: list[Value] = [value] * self.world_size
        dist.all_gather_object(values, value, group=self.messages)
        return values

    def broadcast(self, value: Value) -> Value:
        """Returns the value of process 0 in all of them; it is pickled."""
        if self.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.messages)
        return values[0]

    def all_reduce_max(self, *numbers: int) -> tuple[int, ...]:
        """Returns the greatest of each number over all processes: one small message."""
        if self.world_size == 1:
            return numbers
        values = torch.tensor(numbers)
        dist.all_reduce(values, dist.ReduceOp.MAX, group=self.messages)
        return tuple(values.tolist())


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Joins the processes that `torchrun` started, for the length of the block.

    Networks exchange gradients by NCCL where there is a GPU for each process, else by Gloo.

    Raises:
        ValueError: The environment describes the processes wrongly.
    """
    try:
        rank, world, local = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
    except ValueError as error:
        raise ValueError(f"RANK, WORLD_SIZE and LOCAL_RANK must be numbers: {error}") from error
    alone = Processes(rank, world, local)
    if world == 1:
        yield alone
        return
    on_gpus = torch.cuda.is_available() and torch.cuda.device_count() > local
    if on_gpus:
        torch.cuda.set_device(local)
    dist.init_process_group(
        "nccl" if on_gpus else "gloo", store=_store(), rank=rank, world_size=world
    )
    try:
        yield replace(alone, messages=dist.new_group(backend="gloo"))  # type: ignore[arg-type]
    finally:
        dist.destroy_process_group()


def _store() -> dist.Store:
    """Returns where the processes find each other's addresses."""
    store, _, world = next(dist.rendezvous("env://"))
    if os.environ.get("LOCAL_WORLD_SIZE") != str(world):
        return store
    # On one machine torchrun keeps its store when it starts workers again, where a fast one would
    # find the address of a dead one. Machines count restarts differently: not between them.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"attempt_{attempt}", store)
