"""Batches by step: their content depends on seed and step alone, whichever process reads them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recon.command_line import ignore_stopping_signals
from recon.datasets.multiview import MultiViewDataset

# (batch, seed, step, place of its first object in the whole batch, number of views that the network
# sees or None) -> batch, maybe with `inputs`.
Augmentation = Callable[[dict[str, Tensor], int, int, int, int | None], dict[str, Tensor]]
# The key of a batch under which it keeps the seconds that reading it took.
READING = "reading_seconds"


class StepBatches(Dataset[dict[str, Tensor]]):
    """A data set indexed by the step: item `step` is this process's share of its batch.

    A batch depends on (seed, step) alone, whichever worker draws it and however many processes
    share it, so a run which continues at a step sees the batches it would have seen.

    Args:
        data: The data set of objects and views.
        seed: The seed of the run.
        batch_size: The number of objects of a step, over all processes.
        views_per_object: The number of views of each object.
        maps: The names of the fields that are read beside the images.
        rank: The number of this process, from 0.
        world_size: The number of processes that share the batch.
        augmentation: A function that changes the objects of each batch, depending on the seed, the
            step and the place of an object; None leaves them as they are.
        input_views: The number of views that the network sees, the first ones; None is all.

    Raises:
        ValueError: The batch cannot be shared evenly.
    """

    def __init__(
        self,
        data: MultiViewDataset,
        seed: int,
        batch_size: int,
        views_per_object: int,
        maps: Iterable[str] = (),
        rank: int = 0,
        world_size: int = 1,
        augmentation: Augmentation | None = None,
        input_views: int | None = None,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(
                f"trainer.batch_size must be a multiple of the {world_size} processes,"
                f" got {batch_size}"
            )
        self.data, self.seed, self.maps = data, seed, tuple(maps)
        self.rank, self.world_size = rank, world_size
        self.batch_size, self.views_per_object = batch_size, views_per_object
        self.augmentation, self.input_views = augmentation, input_views

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        start = time.perf_counter()
        batch = self.data.sample_batch(
            self.seed,
            step,
            self.batch_size,
            self.views_per_object,
            self.rank,
            self.world_size,
            self.maps,
        )
        if self.augmentation is not None:
            first = self.rank * len(batch["images"])
            batch = self.augmentation(batch, self.seed, step, first, self.input_views)
        return {**batch, READING: torch.tensor(time.perf_counter() - start)}


def load_steps(
    batches: Dataset[dict[str, Tensor]], steps: range, num_workers: int, pin_memory: bool
) -> DataLoader[dict[str, Tensor]]:
    """Loads the batches of some steps in their order.

    Args:
        batches: The batches, indexed by the step.
        steps: The steps whose batches are loaded.
        num_workers: The number of processes that read ahead; 0 reads in this one.
        pin_memory: Whether batches come in memory that a CUDA device copies from directly.
    """
    return DataLoader(
        batches,
        sampler=steps,
        batch_size=None,  # an item is a whole batch
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # of single items, not of lists
        num_workers=num_workers,
        worker_init_fn=ignore_stopping_signals,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else the loader draws from the global one
    )


def _as_it_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns a batch, which has tensors already."""
    return batch
