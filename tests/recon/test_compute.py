"""Devices and precisions are chosen by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recon.compute import (
    at_least_float32,
    choose_device,
    choose_precision,
    computing_in,
    multiplies_bfloat16,
)


def test_auto_is_cuda_exactly_when_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="device"):
        choose_device(name)


CPU = torch.device("cpu")


def test_names() -> None:
    assert choose_precision("float32", CPU) is torch.float32
    assert choose_precision("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(ValueError, match="'auto', float32, bfloat16; got 'half'"):
        choose_precision("half", CPU)


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_bf16": False}, False)],
)
def test_automatic_is_bfloat16_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert multiplies_bfloat16(CPU) == native
    expected = torch.bfloat16 if native else torch.float32
    assert choose_precision("auto", CPU) is expected


def test_an_old_torch_and_other_devices_compute_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not multiplies_bfloat16(CPU)
    assert not multiplies_bfloat16(torch.device("meta"))


def test_networks_compute_in_it_and_keep_their_weights() -> None:
    layer = nn.Linear(4, 4)
    for precision in (torch.float32, torch.bfloat16):
        with computing_in(precision, CPU):
            assert layer(torch.ones(1, 4)).dtype is precision
    assert layer.weight.dtype is torch.float32


def test_half_precision_becomes_float32_and_nothing_else_changes() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        assert at_least_float32(torch.ones(2, dtype=dtype)).dtype is torch.float32
    for dtype in (torch.float32, torch.float64):
        tensor = torch.ones(2, dtype=dtype)
        assert at_least_float32(tensor) is tensor
