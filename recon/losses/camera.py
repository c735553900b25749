"""The training loss on the direction from which an image was taken."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def camera_direction_loss(
    direction_logits: Tensor, directions: Tensor, true_directions: Tensor
) -> Tensor:
    """Returns the mean cross entropy of the known direction that is nearest to the true one.

    Args:
        direction_logits: [B, K] logits of the K directions.
        directions: [K, 3] the known directions, unit vectors.
        true_directions: [B, 3] the directions from which the images were taken, unit vectors.

    Raises:
        ValueError: The shapes disagree.
    """
    images, known = len(true_directions), len(directions)
    if direction_logits.shape != (images, known):
        raise ValueError(
            f"direction_logits must be [{images}, {known}], got {list(direction_logits.shape)}"
        )
    # Not a matmul: reduced precision on some devices would move the borders between directions.
    cosines = (true_directions[:, None].float() * directions.float()).sum(2)
    return F.cross_entropy(direction_logits.float(), cosines.argmax(1))
