"""Names of devices."""

from __future__ import annotations

import pytest
import torch

from recon.devices import choose_device


def test_auto_is_cuda_exactly_when_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="device"):
        choose_device(name)
