from __future__ import annotations

import torch

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.frames import world_cameras, world_vertices


def test_the_front_of_a_model_faces_the_first_camera() -> None:
    assert world_vertices(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[-3.0, 2.0, -1.0]]
    front, back = torch.tensor([[[1.0, 0.0, 0.0]]]), torch.tensor([[[-1.0, 0.0, 0.0]]])
    camera = shapenet_cameras([0])
    depths = [camera.project(world_vertices(v), 8)[0, 0, 2] for v in (front, back)]
    assert depths[0] < depths[1]


def test_twice_is_where_one_started() -> None:
    points = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(world_vertices(world_vertices(points)), points)


def test_turned_cameras_see_the_turned_model_as_before() -> None:
    generator = torch.Generator().manual_seed(1)
    rotation = torch.linalg.qr(torch.randn(3, 3, 3, generator=generator, dtype=torch.float64))[0]
    shift = torch.tensor([[0.1, -0.2, 3.0], [0.0, 0.3, 2.0], [1.0, 0.0, 4.0]]).double()
    cameras = Cameras(rotation, shift, torch.full_like(shift[:, :2], 2.0), shift[:, :2] / 10)
    points = torch.randn(3, 7, 3, generator=generator, dtype=torch.float64)
    seen = world_cameras(cameras).project(world_vertices(points), (6, 8))
    torch.testing.assert_close(seen, cameras.project(points, (6, 8)))
