"""Batch normalisation over the batches of all processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Normalises by mean and variance over all processes, so that their number changes nothing.

    It does what `torch.nn.SyncBatchNorm` does, which runs on GPUs alone. Parameters and buffers are
    those of `torch.nn.BatchNorm2d`, and so are the results in evaluation mode or a single process.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalises [B, C, H, W] per channel; statistics are in float32 under autocast."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(input)
        x = input.float()
        dims = (0, 2, 3)
        count = _AllSum.apply(x.new_tensor(x.numel() / x.shape[1]))
        mean = _AllSum.apply(x.sum(dims)) / count
        centred = x - mean[:, None, None]
        # In a second pass: sums of squares of what is not centred lose digits.
        variance = _AllSum.apply(centred.square().sum(dims)) / count
        self._remember(mean.detach(), variance.detach() * (count / (count - 1).clamp(min=1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        out = centred * scale[:, None, None] + self.bias[:, None, None]
        return out.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked += 1
        kept = self.momentum
        share = 1 / float(self.num_batches_tracked) if kept is None else kept
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _AllSum(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient, as each of them uses the sum."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


def use_global_batch_norm(model: nn.Module) -> None:
    """Makes every `BatchNorm2d` inside a model one over all processes; weights are kept."""
    if any(parameter.is_cuda for parameter in model.parameters()):
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # replaces the children in their place
        return
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
