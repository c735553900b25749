"""The brute-force baseline equals the oracle, so that what is measured against it is the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from renderer_cuda import soft_silhouette_reference

ROOT = Path(__file__).resolve().parents[3]

# The emulator has no atomic operations on floating-point numbers: the rasterizer must not use them.
# It switches threads at barriers only, so that plain addition is atomic in it.
FLOAT_ATOMIC = """
inline float atomicAdd(float* address, float value) {
  const float old = *address;
  *address = old + value;
  return old;
}
"""


@pytest.fixture
def brute_force(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The baseline on the CPU, by its CUDA source in the launch emulator."""
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    for folder in ("scripts", "tests/renderer_cuda"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    from emulator import compilation
    from gpu_contact.brute_force import SOURCE, BruteForce

    include = "#include <cuda_runtime.h>\n"
    source = tmp_path / "brute_force.cu"
    source.write_text(SOURCE.read_text().replace(include, include + FLOAT_ATOMIC, 1))
    monkeypatch.setitem(compilation.LIBRARIES, "brute_force", (source,))
    return BruteForce(compilation.build("brute_force", "none", tmp_path / "built"))


def test_brute_force_equals_the_oracle(brute_force: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    faces = torch.rand(2, 7, 3, 3, generator=generator) * 2 - 1
    faces[..., 2] += 3
    grad_alpha = torch.rand(2, 12, 12, generator=generator)
    alpha = brute_force.silhouettes(faces, 12, 1e-2, 1e-4)
    grad = brute_force.gradient(faces, 1e-2, 1e-4, alpha, grad_alpha)
    leaf = faces.double().requires_grad_()
    expected = soft_silhouette_reference(leaf, 12, sigma=1e-2, dist_eps=1e-4)
    expected.backward(grad_alpha.double())
    assert leaf.grad is not None
    assert expected.std() > 0.1
    torch.testing.assert_close(alpha.double(), expected.detach(), atol=1e-5, rtol=0)
    scale = leaf.grad.abs().max().item()
    torch.testing.assert_close(grad.double(), leaf.grad, atol=1e-4 * scale, rtol=0)


def test_the_status_of_cuda_is_told(brute_force: Any) -> None:
    with pytest.raises(RuntimeError, match="CUDA error 3"):
        brute_force._check(3)
