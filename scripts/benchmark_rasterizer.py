"""Times the soft rasterizer: milliseconds per image, forward and forward + backward.

    python scripts/benchmark_rasterizer.py [--threads 1 2] [--repeats 15] [--device cpu]

Every figure is the median of several runs, through the public function and autograd.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from recon.cameras import shapenet_cameras
from recon.meshes import icosphere
from renderer_cuda import gather_faces, soft_rasterize, soft_silhouette
from renderer_cuda.reference import pixel_centers


@dataclass(frozen=True)
class Case:
    """One scene: jittered icospheres as the reconstruction network's renders see them."""

    kind: str
    images: int
    image_size: int
    subdivisions: int
    sigma: float


CASES = (
    Case("silhouette", 64, 64, 3, 1e-4),
    Case("silhouette", 64, 64, 3, 1e-5),
    Case("rgb softmax", 64, 64, 3, 1e-4),
    Case("silhouette", 4, 256, 4, 1e-5),
    Case("rgb softmax", 4, 256, 4, 1e-5),
)


def make_faces(case: Case, device: str) -> Tensor:
    """Return face_vertices [B, F, 3, 3] of jittered spheres of radius 0.4 in the 24 views."""
    sphere = icosphere(case.subdivisions)
    generator = torch.Generator().manual_seed(0)
    edge = 1.2 / 2**case.subdivisions  # of the unit icosphere; the jitter is a tenth of it
    noise = torch.randn(case.images, *sphere.vertices.shape, generator=generator) * 0.1 * edge
    cameras = shapenet_cameras([index % 24 for index in range(case.images)])
    projected = cameras.project(0.4 * (sphere.vertices + noise), case.image_size)
    return gather_faces(projected, sphere.faces).to(device)


def count_pairs(face_vertices: Tensor, case: Case) -> float:
    """Return the (pixel, face) pairs inside the support, per image, from the gradient's reach."""
    reach = (case.sigma * 9.2102) ** 0.5  # log(1 / 1e-4 - 1)
    pixels = pixel_centers(case.image_size, case.image_size, dtype=torch.float32)
    total = 0
    for triangle in face_vertices[0, :, :, :2].cpu():
        low, high = triangle.amin(0) - reach, triangle.amax(0) + reach
        near = pixels[((pixels >= low) & (pixels <= high)).all(1)]
        start, edge = triangle[None], triangle.roll(-1, 0) - triangle
        offset = near[:, None] - start
        t = ((offset * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
        away = (offset - t[..., None] * edge).square().sum(-1).amin(-1)
        side = edge[:, 0] * offset[..., 1] - edge[:, 1] * offset[..., 0]
        inside = (side > 0).all(-1) | (side < 0).all(-1)
        total += int(((away < reach**2) | inside).sum())
    return total


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def measure(case: Case, faces: Tensor, repeats: int) -> tuple[float, float]:
    """Return milliseconds per image, forward and forward + backward."""
    leaf = faces.clone().requires_grad_()
    textures = torch.rand_like(faces)

    def render(vertices: Tensor) -> Tensor:
        if case.kind == "silhouette":
            return soft_silhouette(vertices, case.image_size, sigma=case.sigma)
        return soft_rasterize(vertices, textures, case.image_size, sigma=case.sigma)

    upstream = torch.randn_like(render(faces))
    forward = median_seconds(lambda: render(faces), repeats)
    both = median_seconds(lambda: torch.autograd.grad(render(leaf), leaf, upstream), repeats)
    return 1e3 * forward / case.images, 1e3 * both / case.images


def main() -> None:
    """Print one row for each case and number of threads."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print(
        f"{'kind':12} {'B':>3} {'size':>5} {'faces':>6} {'sigma':>6} {'threads':>7}"
        f" {'pairs/image':>11} {'forward':>9} {'fwd+bwd':>9}  ms per image"
    )
    for case in CASES:
        faces = make_faces(case, arguments.device)
        pairs = count_pairs(faces, case)
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            forward, both = measure(case, faces, arguments.repeats)
            print(
                f"{case.kind:12} {case.images:3} {case.image_size:5} {faces.shape[1]:6}"
                f" {case.sigma:6.0e} {threads:7} {pairs:11} {forward:9.3f} {both:9.3f}"
            )


if __name__ == "__main__":
    main()
