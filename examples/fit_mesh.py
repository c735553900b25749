"""Fits a mesh to silhouettes of a sphere by torch and renderer_cuda: python examples/fit_mesh.py"""

import torch

from renderer_cuda import gather_faces, soft_silhouette


def octahedron(times: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns vertices [V, 3] and faces [F, 3], each face split into four several times."""
    signs = torch.cartesian_prod(*torch.tensor([[1.0, -1.0]] * 3))
    corners = torch.diag_embed(signs)  # [8, 3, 3]
    for _ in range(times):
        points = torch.cat((corners, (corners + corners.roll(-1, 1)) / 2), 1)
        corners = points[:, [[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]]].flatten(0, 1)
    vertices, index = torch.unique(corners.flatten(0, 1), dim=0, return_inverse=True)
    return vertices, index.view(-1, 3)


def silhouettes(vertices: torch.Tensor, sigma: float) -> torch.Tensor:
    """Renders [N, 64, 64] after the N rotations, from a distance of 3 and with fov 53."""
    x, y, depth = (vertices @ rotations.mT + torch.tensor([0.0, 0.0, 3.0])).unbind(-1)
    ndc = torch.stack((2 * x / depth, 2 * y / depth, depth), -1)  # [N, V, 3]
    return soft_silhouette(gather_faces(ndc, faces), 64, sigma=sigma)


rotations = torch.linalg.qr(torch.randn(16, 3, 3, generator=torch.Generator().manual_seed(0))).Q
start, faces = octahedron(3)
neighbours = torch.zeros(len(start), len(start))
neighbours[faces, faces.roll(1, 1)] = neighbours[faces.roll(1, 1), faces] = 1
target = silhouettes(0.8 * start / start.norm(dim=1, keepdim=True), sigma=1e-5)
vertices = (0.6 * start).requires_grad_()
optimizer = torch.optim.Adam([vertices], lr=0.01)
for step in range(100):
    image = silhouettes(vertices, sigma=1e-3 * 0.1 ** (step / 50))
    iou = (image * target).sum((1, 2)) / (image + target - image * target).sum((1, 2))
    roughness = (vertices - neighbours @ vertices / neighbours.sum(1, keepdim=True)).square().sum()
    optimizer.zero_grad()
    ((1 - iou).mean() + 0.1 * roughness).backward()
    optimizer.step()
print(f"mean radius {vertices.norm(dim=1).mean():.3f}, and 0.800 of the sphere")
