"""Stages that measure: the machine, the benchmark, fitting, training."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from gpu_contact import scenes, timing
from torch import Tensor

from renderer_cuda import gather_faces, soft_rasterize, soft_silhouette, visible_faces, voxelize

Rows = dict[str, dict[str, Any]]
ROOT = Path(__file__).resolve().parents[2]

# Published figures: GB/s of the memory, TFLOP/s in float32.
PUBLISHED = {"H200": (4800.0, 67.0), "H100": (3350.0, 67.0), "A100": (1555.0, 19.5)}

# Milliseconds per call on an H100, estimated in docs/rasterizer_speed.md (forward, where a warp
# asks first, and backward).
ESTIMATES = {
    "silhouette 64, B=1, dist_eps 0.0001": 0.048,
    "silhouette 64, B=64, dist_eps 0.0001": 0.127,
    "RGB 1024, 5,120 faces, in order": 0.207,
}


def facts(device: torch.device, small: bool) -> Rows:
    """Measure the memory, the arithmetic and the launches of the device."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    published = next((figures for key, figures in PUBLISHED.items() if key in name), (None, None))
    numbers = torch.zeros(2**20 if small else 2**28, device=device)
    copy_ms = timing.device_milliseconds(lambda: numbers.clone(), device, 5)
    side = 256 if small else 8192
    matrix = torch.ones(side, side, device=device)
    torch.backends.cuda.matmul.allow_tf32 = False
    product_ms = timing.device_milliseconds(lambda: matrix @ matrix, device, 5)
    one = torch.zeros(1, device=device)
    begun = time.perf_counter()
    for _ in range(1000):
        one.add_(1)
    launch = 1e6 * (time.perf_counter() - begun) / 1000
    bandwidth = 2 * 4 * numbers.numel() / copy_ms / 1e6
    rate = 2 * side**3 / product_ms / 1e9
    return {
        name: {"note": f"torch {torch.__version__}, CUDA {torch.version.cuda}"},
        "memory": {"measured": bandwidth, "expected": published[0], "unit": "GB/s"},
        "float32": {"measured": rate, "expected": published[1], "unit": "TFLOP/s"},
        "a small op, host": {"measured": launch, "expected": 4.0, "unit": "us"},
    }


def build(device: torch.device, small: bool) -> Rows:
    """Build the kernels for the device in an empty folder; on the CPU find those that are there."""
    command = [sys.executable, "-m", "renderer_cuda", "build", device.type]
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if not small:
            environment["RENDERER_CUDA_BUILD_DIR"] = folder
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - begun
    note = done.stdout.strip() if done.returncode == 0 else done.stderr.strip()[-500:]
    row = {"measured": seconds, "unit": "s", "passed": done.returncode == 0, "note": note}
    return {f"{device.type} kernels": row}


def _silhouettes(corners: Tensor, size: int, dist_eps: float) -> timing.Call:
    leaf = corners.clone().requires_grad_()

    def call() -> object:
        alpha = soft_silhouette(leaf, size, sigma=1e-4, dist_eps=dist_eps)
        return torch.autograd.grad(alpha.sum(), leaf)

    return call


def _colors(corners: Tensor, size: int) -> timing.Call:
    leaf = corners.clone().requires_grad_()
    colors = torch.rand_like(corners).requires_grad_()

    def call() -> object:
        rgba = soft_rasterize(leaf, colors, size, sigma=1e-5, gamma=1e-4)
        return torch.autograd.grad(rgba.sum(), (leaf, colors))

    return call


def _calls(device: torch.device, small: bool) -> dict[str, timing.Call]:
    calls: dict[str, timing.Call] = {}
    ball = scenes.faces_of(1_280).to(device)
    for images in (1,) if small else (1, 64, 256):
        for dist_eps in (1e-4, 1e-2):
            corners = ball.expand(images, -1, -1, -1).contiguous()
            name = f"silhouette 64, B={images}, dist_eps {dist_eps:g}"
            calls[name] = _silhouettes(corners, 64, dist_eps)
    size = 64 if small else 1024
    for faces in (1_280,) if small else (5_120, 40_960, 327_680):
        corners = scenes.faces_of(faces)
        for order, ordered in (("in order", corners), ("shuffled", scenes.shuffled(corners))):
            name = f"RGB {size}, {faces:,} faces, {order}"
            calls[name] = _colors(ordered[None].to(device), size)
    calls[f"RGB {size}, two triangles"] = _colors(scenes.two_triangles()[None].to(device), size)
    batch = ball[None]
    sharp = {"color": "hard", "distance": "hard", "alpha": "hard"}
    calls[f"hard {size}"] = lambda: soft_rasterize(batch, batch, size, **sharp)  # type: ignore[arg-type]
    calls[f"visible {size}"] = lambda: visible_faces(batch, size)
    boxes = (batch - batch.amin()) / 5
    calls["voxels 32"] = lambda: voxelize(boxes, 32)
    vertices = torch.rand(64, 642, 3, device=device, requires_grad=True)
    index = torch.randint(0, 642, (1_280, 3), device=device)
    calls["gather and scatter"] = lambda: torch.autograd.grad(
        gather_faces(vertices, index).sum(), vertices
    )
    return calls


def benchmark(device: torch.device, small: bool) -> Rows:
    """Time every op: on the device, on the host, as a graph; and measure its memory."""
    rows: Rows = {}
    for name, call in _calls(device, small).items():
        row = timing.measure(call, device, 2 if small else 20)
        rows[name] = {"measured": row["ms"], "expected": ESTIMATES.get(name), "unit": "ms", **row}
    return rows


def fit(device: torch.device, small: bool) -> Rows:
    """Fit the corners of a sphere to the silhouettes of a larger one."""
    target = soft_silhouette(scenes.sphere(3, 0.8)[None].to(device), 64, sigma=1e-4).detach()
    corners = scenes.sphere(3, 0.6)[None].to(device).requires_grad_()
    optimizer = torch.optim.Adam([corners], lr=3e-3)
    steps, losses = (20 if small else 200), []
    begun = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (soft_silhouette(corners, 64, sigma=1e-4) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    ratio = (losses[-1] / losses[0]).item()
    seconds = time.perf_counter() - begun
    return {
        "loss, last against first": {
            "measured": ratio,
            "unit": "",
            "passed": ratio < (0.9 if small else 0.5),
        },
        "a step": {"measured": 1e3 * seconds / steps, "unit": "ms"},
    }


def train(device: torch.device, small: bool) -> Rows:
    """Profile training steps of the paper's silhouettes on generated shapes."""
    with tempfile.TemporaryDirectory() as folder:
        data, shapes = f"{folder}/shapes.h5", ["source=shapes", "source.objects_per_category=8"]
        shapes += ["source.categories=[chair]"] if small else []
        _script("scripts/prepare_data.py", *shapes, f"output={data}")
        text = _script(
            *("train.py", "experiment=softras_silhouette", f"data.path={data}"),
            *(f"output_dir={folder}/run", "profile=true", "trainer.num_workers=0"),
            *(f"trainer.device={device.type}", f"trainer.batch_size={2 if small else 64}"),
        )
    found = re.search(r"^\W*step\W+([\d.]+)", text, re.MULTILINE)
    measured = float(found[1]) if found else None
    expected = 4.5 if device.type == "cuda" else None  # 3 to 6 ms, docs/scaling.md
    row = {"measured": measured, "expected": expected, "unit": "ms", "passed": found is not None}
    return {"a training step": row, "profile": {"note": text}}


def _script(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout
