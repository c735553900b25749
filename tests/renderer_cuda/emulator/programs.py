"""Parts of programs that call emulated kernels in a process of their own.

A program is SCENE, a function `renders(function, dtype)` that yields images and gradients of
scenes, and what is asked of them. Its argument is the library.
"""

from __future__ import annotations

SCENE = """
import ctypes, sys, torch
from pathlib import Path
from renderer_cuda import build, soft_rasterize, soft_rasterize_reference, soft_silhouette

build.build = lambda back_end: Path(sys.argv[1])
emulator = ctypes.CDLL(sys.argv[1])
generator = torch.Generator().manual_seed(0)

def scene(faces, size, numbers=3):
    centers = torch.rand(faces, 1, 3, generator=generator) * 2 - 1
    corners = torch.rand(faces, 3, 3, generator=generator) - 0.5
    vertices = centers + size * corners
    vertices[..., 2] = 3 + corners[..., 2]
    return vertices, torch.rand(faces, numbers, 3, generator=generator)
"""

# The same bits in three orders of the threads.
BITS = """
expected = list(renders(soft_rasterize))
for seed in range(1, 4):
    emulator.emulator_seed(seed)
    print(all(torch.equal(a, b) for a, b in zip(renders(soft_rasterize), expected, strict=True)))
"""

# What the oracle says, to rounding.
ORACLE = """
expected = renders(soft_rasterize_reference, torch.float64)
for a, b in zip(renders(soft_rasterize, torch.float64), expected, strict=True):
    print((a - b).abs().max() < 1e-9 * b.abs().max())
"""
