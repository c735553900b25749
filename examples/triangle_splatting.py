"""Fits free triangles to views of a rendered scene: python examples/triangle_splatting.py

Every triangle has corners, an opacity, a softness and a colour of its own, and shares nothing with
others. The scene is a few coloured spheres, rendered from cameras around them; some of the views
are held out.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recon.formats.meshes.writing.writer import save_mesh
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere
from recon.rendering.renderer import SoftRenderer

SIZE = 64  # pixels


@dataclass
class Triangles:
    """What is optimised: corners [F, 3, 3]; of the rest logits and, of sigma, the logarithm."""

    corners: Tensor
    opacity: Tensor
    log_sigma: Tensor
    color: Tensor

    def leaves(self) -> list[Tensor]:
        return [self.corners, self.opacity, self.log_sigma, self.color]


def scene() -> tuple[Tensor, Tensor, Tensor]:
    """Returns vertices [1, V, 3], faces [F, 3] and a colour for each face [1, F, 3]."""
    sphere = icosphere(2)
    places = [[-0.3, 0.0, 0.1], [0.3, 0.15, 0.0], [0.0, -0.2, -0.3], [0.05, 0.35, 0.25]]
    radii = [0.3, 0.25, 0.2, 0.15]
    pairs = zip(places, radii, strict=True)
    parts = [radius * sphere.vertices + torch.tensor(place) for place, radius in pairs]
    faces = [sphere.faces + i * len(sphere.vertices) for i in range(len(parts))]
    vertices = torch.cat(parts)
    corners = vertices[torch.cat(faces)]
    color = 0.5 + 0.5 * torch.sin(6 * corners.mean(1) + torch.tensor([0.0, 2.0, 4.0]))
    return vertices[None], torch.cat(faces), color[None]


def cameras_around(count: int) -> Cameras:
    """Spreads cameras over the band of elevations from -30 to 50 degrees, by the golden angle."""
    index = torch.arange(count)
    azimuth, elevation = 137.508 * index, -30 + 80 * ((index * 0.618034) % 1)
    return Cameras.orbit(azimuth, elevation, 2.732, 30.0)


def start_at_random(count: int, generator: torch.Generator) -> Triangles:
    middle = 1.2 * torch.rand(count, 1, 3, generator=generator) - 0.6
    corners = middle + 0.08 * torch.randn(count, 3, 3, generator=generator)
    return _triangles(corners, opacity=0.3)


def start_at_sphere(subdivisions: int) -> Triangles:
    sphere = icosphere(subdivisions)
    return _triangles(0.55 * sphere.vertices[sphere.faces], opacity=0.5)


def _triangles(corners: Tensor, opacity: float) -> Triangles:
    count = len(corners)
    logit = math.log(opacity / (1 - opacity))
    sigma = torch.full((count,), math.log(1e-4))
    return Triangles(corners, torch.full((count,), logit), sigma, torch.zeros(count, 3))


def render(renderer: SoftRenderer, triangles: Triangles, cameras: Cameras) -> Tensor:
    """Renders [B, 4, H, W]."""
    views, count = len(cameras), len(triangles.corners)
    faces = torch.arange(3 * count).view(count, 3)
    return renderer(
        triangles.corners.view(1, -1, 3).expand(views, -1, -1),
        faces,
        triangles.color.sigmoid().expand(views, -1, -1),
        cameras,
        face_opacity=triangles.opacity.sigmoid().expand(views, -1),
        face_sigma=triangles.log_sigma.clamp(-14, -4).exp().expand(views, -1),
    )


def psnr(image: Tensor, truth: Tensor) -> float:
    """Returns the peak signal-to-noise ratio of colours in decibels."""
    return -10 * math.log10((image[:, :3] - truth[:, :3]).square().mean().item())


def fit(
    triangles: Triangles, steps: int, views: int = 48, held_out: int = 8, batch: int = 4
) -> float:
    """Optimises the triangles in place and returns the PSNR on held-out views."""
    truth_of = SoftRenderer(SIZE, color="hard", distance="hard", anti_aliasing=4)
    renderer = SoftRenderer(SIZE, color="over", window="exp_clipped", near=0.1)
    cameras = cameras_around(views + held_out)
    vertices, faces, color = scene()
    each = (tensor.expand(len(cameras), -1, -1) for tensor in (vertices, color))
    truth = truth_of(next(each), faces, next(each), cameras)
    rates = [2e-3, 5e-2, 5e-2, 5e-2]
    leaves = [leaf.requires_grad_() for leaf in triangles.leaves()]
    groups = [{"params": [leaf], "lr": lr} for leaf, lr in zip(leaves, rates, strict=True)]
    optimizer = torch.optim.Adam(groups, eps=1e-12)  # gradients are of means over images, and small
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / max(1, steps)))
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randperm(views, generator=generator)[:batch]
        image = render(renderer, triangles, cameras[chosen])
        loss = (image - truth[chosen]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    with torch.no_grad():
        return psnr(render(renderer, triangles, cameras[views:]), truth[views:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", choices=["random", "sphere"], default="random")
    parser.add_argument("--triangles", type=int, default=1500, help="where they start at random")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path("triangles.glb"))
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    random = arguments.start == "random"
    triangles = start_at_random(arguments.triangles, generator) if random else start_at_sphere(3)
    start = time.perf_counter()
    quality = fit(triangles, arguments.steps)
    seconds = time.perf_counter() - start
    shown = triangles.opacity.sigmoid() > 0.1  # a file has opaque triangles only
    corners, colors = triangles.corners[shown].detach(), triangles.color[shown].detach().sigmoid()
    faces = torch.arange(3 * len(corners)).view(-1, 3)
    save_mesh(arguments.output, (corners.flatten(0, 1), faces), colors.repeat_interleave(3, 0))
    print(f"{len(shown)} triangles, {arguments.steps} steps in {seconds:.0f} s:")
    print(f"PSNR {quality:.2f} dB on held-out views; {arguments.output}")


if __name__ == "__main__":
    main()
