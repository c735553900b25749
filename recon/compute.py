"""Devices of tensors, and the precision that networks compute in."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def choose_device(name: str) -> torch.device:
    """Returns the device of a name; 'auto' is CUDA when there is a GPU.

    Raises:
        ValueError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda[:N]', got {name!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r}: there are {torch.cuda.device_count()} CUDA devices")
    return device


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Returns the type of a name; 'auto' is bfloat16 where the device multiplies it natively.

    Raises:
        ValueError: There is no precision of this name.
    """
    if name == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    if name not in PRECISIONS:
        raise ValueError(f"precision must be 'auto', {', '.join(PRECISIONS)}; got {name!r}")
    return PRECISIONS[name]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tells whether a device has instructions for products of bfloat16 matrices.

    Others emulate them, which is slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # Newer than the oldest torch that serves; there float32 is the safe answer.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def computing_in(precision: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Returns the context in which a network computes in a precision (autocast).

    Weights stay in float32. So do small gradients, because bfloat16 has the exponents of float32;
    no loss scaling is needed.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Returns a tensor of half precision as float32, and any other as it is."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
