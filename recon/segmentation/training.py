"""Trains the segmentation network on objects before random backgrounds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from recon.datasets.multiview import MultiViewDataset
from recon.runs.checkpoints import load_checkpoint, save_checkpoint
from recon.segmentation.network import SegmentationNetwork
from recon.segmentation.scenes import random_scenes

# Steps from one score, and one checkpoint, to the next; and the images that are scored.
SCORE_EVERY, SCORED = 250, 512


def random_views(datasets: Sequence[MultiViewDataset], count: int, seed: int) -> Tensor:
    """Reads random views of random objects, as many of each data set.

    Args:
        datasets: The data sets, whose images are of one size.
        count: The number N of images of each data set.
        seed: What they are drawn by.

    Returns:
        [N * number of data sets, 4, H, W] uint8 RGBA; images without an object are left out.

    Raises:
        ValueError: If the images of the data sets differ in size.
    """
    sizes = [dataset.image_size for dataset in datasets]
    if len(set(sizes)) > 1:
        raise ValueError(f"datasets must have images of one size, got {sizes}")
    generator = np.random.default_rng(seed)
    images = []
    for dataset in datasets:
        for _ in tqdm(range(count), desc="images", unit="image"):
            view = int(generator.integers(dataset.num_views))
            images.append(dataset.images(int(generator.integers(len(dataset))), [view]))
    found = torch.cat(images)
    return found[(found[:, 3] > 127).flatten(1).any(1)]


def train_segmentation(
    train: Tensor,
    val: Tensor,
    steps: int,
    batch_size: int = 32,
    lr: float = 2e-3,
    seed: int = 0,
    checkpoint: Path | None = None,
) -> tuple[SegmentationNetwork, float]:
    """Trains a network by binary cross-entropy and the soft IoU, under bfloat16.

    Args:
        train: [N, 4, H, W] uint8 RGBA images of objects to learn from.
        val: [M, 4, H, W] the same of others, for the score.
        steps: The number of steps; the learning rate rises over 100 of them and falls as a cosine.
        batch_size: The number of images of a step.
        lr: The greatest learning rate of AdamW.
        seed: The source of all randomness.
        checkpoint: The file which is written with each score, and from which a training with the
            same arguments goes on as if it had never stopped; None writes none.

    Returns:
        The network in evaluation mode, and its last score, see `mean_iou`.

    Raises:
        ValueError: The checkpoint is damaged, or of a training with other arguments.
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    network = SegmentationNetwork().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min(1.0, (s + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * s / steps)),
    )
    config: dict[str, Any] = {"steps": steps, "batch_size": batch_size, "lr": lr, "seed": seed}
    if checkpoint is not None:
        config |= {"train": _digest(train), "val": _digest(val)}
    done, score = 0, 0.0
    if checkpoint is not None and checkpoint.exists():
        state = _load_own(checkpoint, config)
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        generator.bit_generator.state = state["random"][0]
        done, score = state["step"], state["score"]
    network.train()
    with tqdm(total=steps, initial=done, desc="segmentation", unit="step") as progress:
        for step in range(done + 1, steps + 1):
            chosen = torch.from_numpy(generator.integers(len(train), size=batch_size))
            images, masks = random_scenes(train[chosen], generator)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(images)
            loss = segmentation_loss(logits.float(), masks)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.update()
            if step % SCORE_EVERY == 0 or step == steps:
                score = mean_iou(network, val)
                progress.set_postfix(loss=f"{loss.item():.3f}", iou=f"{score:.4f}")
                network.train()
                if checkpoint is not None:
                    content = {
                        "model": network.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(),
                        "random": [generator.bit_generator.state],
                        "step": step,
                        "score": score,
                        "config": config,
                    }
                    save_checkpoint(checkpoint, content)
    return network.eval(), score


def _digest(images: Tensor) -> str:
    return hashlib.sha256(images.contiguous().numpy().data).hexdigest()


def _load_own(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the checkpoint of a training with these arguments."""
    state = load_checkpoint(path)
    if state["config"] != config:
        theirs = state["config"] if isinstance(state["config"], dict) else {}
        other = [key for key, value in config.items() if theirs.get(key) != value]
        raise ValueError(
            f"checkpoint {path} must be of the same training, got another {', '.join(other)}; "
            "delete it to begin anew"
        )
    return state


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Returns the binary cross-entropy plus one minus the soft IoU, mean over images [B, H, W]."""
    probability = torch.sigmoid(logits)
    both = (probability * masks).sum((1, 2))
    either = (probability + masks - probability * masks).sum((1, 2))
    # One pixel more, as an image may show no object: `silhouette_iou_loss` punishes that as a miss.
    iou = (both + 1) / (either + 1)
    return nn.functional.binary_cross_entropy_with_logits(logits, masks) + (1 - iou).mean()


@torch.no_grad()
def mean_iou(network: SegmentationNetwork, objects: Tensor, seed: int = 1) -> float:
    """Returns the mean IoU of predicted and true masks of objects before random backgrounds.

    Args:
        network: The network; it is left in evaluation mode.
        objects: [N, 4, H, W] uint8 RGBA, of which the first 512 are scored.
        seed: What backgrounds are drawn by, so that scores can be compared.
    """
    network.eval()
    generator = np.random.default_rng(seed)
    scores = []
    for some in objects[:SCORED].split(64):
        images, masks = random_scenes(some, generator)
        inside, true = network(images) > 0, masks > 0
        either = (inside | true).sum((1, 2))
        scores.append(torch.where(either > 0, (inside & true).sum((1, 2)) / either, 1.0))
    return float(torch.cat(scores).mean())
