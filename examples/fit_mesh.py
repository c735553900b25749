"""Fits a mesh to silhouettes of a sphere by torch and renderer_cuda: python examples/fit_mesh.py"""

import torch
from torch import Tensor

from renderer_cuda import gather_faces, soft_silhouette


def octahedron(times: int) -> tuple[Tensor, Tensor]:
    """Returns vertices [V, 3] and faces [F, 3], each face split into four several times."""
    vertices = torch.cat((torch.eye(3), -torch.eye(3)))
    upper = torch.tensor([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2]])
    faces = torch.cat((upper, upper.flip(1) + 3 * (upper.flip(1) == 2)))
    for _ in range(times):
        corners = vertices[faces]
        points = torch.cat((corners, (corners + corners.roll(-1, 1)) / 2), 1)
        vertices, index = torch.unique(points.reshape(-1, 3), dim=0, return_inverse=True)
        faces = index.reshape(-1, 6)[:, [0, 3, 5, 3, 1, 4, 5, 4, 2, 3, 4, 5]].reshape(-1, 3)
    return vertices, faces


def silhouettes(vertices: Tensor, faces: Tensor, turns: Tensor, sigma: float) -> Tensor:
    """Renders [N, 64, 64] after the rotations [N, 3, 3], from a distance of 3 and with fov 53."""
    x, y, depth = (vertices @ turns.mT + torch.tensor([0.0, 0.0, 3.0])).unbind(-1)
    ndc = torch.stack((2 * x / depth, 2 * y / depth, depth), -1)  # [N, V, 3]
    return soft_silhouette(gather_faces(ndc, faces), 64, sigma=sigma)


def main(steps: int = 100) -> Tensor:
    """Returns the distances [V] of the fitted vertices from the middle of the sphere."""
    start, faces = octahedron(3)
    turns = torch.linalg.qr(torch.randn(16, 3, 3, generator=torch.Generator().manual_seed(0))).Q
    target = silhouettes(0.8 * torch.nn.functional.normalize(start), faces, turns, 1e-5)
    vertices = (0.6 * start).requires_grad_()
    optimizer = torch.optim.Adam([vertices], lr=0.01)
    for step in range(steps):
        image = silhouettes(vertices, faces, turns, 1e-3 * 0.1 ** (2 * step / steps))
        shared = (image * target).sum((1, 2))
        iou = shared / ((image + target).sum((1, 2)) - shared)
        # Smoothness: the distances of vertices from the means of their neighbours.
        sums = torch.zeros_like(vertices).index_add(
            0, faces.flatten(), vertices[faces.roll(1, 1)].flatten(0, 1)
        )
        rough = (vertices - sums / faces.flatten().bincount()[:, None]).square().sum()
        optimizer.zero_grad()
        ((1 - iou).mean() + 0.1 * rough).backward()
        optimizer.step()
    return vertices.detach().norm(dim=1)


if __name__ == "__main__":
    radii = main()
    print(
        f"radius {radii.mean():.3f}, from {radii.min():.3f} to {radii.max():.3f}; the sphere's 0.8"
    )
