"""The humanoid is one closed surface whose parts follow their joints."""

from __future__ import annotations

import torch

from recon.fitting.articulation.humanoid import humanoid_limits, make_humanoid, random_angles
from recon.geometry.meshes import edges, face_pairs_of_edges


def test_the_body_is_closed_like_a_sphere_and_faces_outwards() -> None:
    mesh = make_humanoid().mesh
    assert len(face_pairs_of_edges(mesh.faces)[0]) == len(edges(mesh.faces))
    assert mesh.num_vertices - len(edges(mesh.faces)) + mesh.num_faces == 2
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c, dim=1)).sum() / 6
    assert 0.03 < float(volume) < 0.04  # of 20^-3 times 290 cells
    torch.testing.assert_close(mesh.vertices[:, 1].amax(), torch.tensor(0.5), rtol=0, atol=0.03)


def test_parts_have_colours_of_their_own() -> None:
    body = make_humanoid()
    assert body.mesh.face_colors is not None
    assert len(torch.unique(body.mesh.face_colors, dim=0)) == len(body.skeleton) == 11


def test_left_and_right_mirror_each_other() -> None:
    body = make_humanoid()
    names, low_high = body.skeleton.names, humanoid_limits()
    angles = random_angles(1, torch.Generator().manual_seed(0))
    mirrored = torch.zeros_like(angles)
    for index, name in enumerate(names):
        other = name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")
        mirrored[:, names.index(other)] = angles[:, index] * torch.tensor([1.0, -1.0, -1.0])
    within = (mirrored[0] >= low_high[..., 0] - 1e-6) & (mirrored[0] <= low_high[..., 1] + 1e-6)
    limbs = [i for i, name in enumerate(names) if " " in name]
    assert bool(within[limbs].all())
    a = body.joints(angles)[0] * torch.tensor([-1.0, 1, 1])
    b = body.joints(mirrored)[0]
    swapped = [names.index(n.replace("left", "R").replace("right", "left").replace("R", "right"))
               for n in names]  # fmt: skip
    torch.testing.assert_close(a, b[swapped], rtol=0, atol=1e-6)


def test_a_bent_elbow_moves_its_forearm_alone() -> None:
    body = make_humanoid()
    angles = torch.zeros(1, 11, 3)
    elbow = body.skeleton.names.index("left elbow")
    angles[0, elbow, 1] = 1.5
    moved = (body.pose(angles)[0] - body.mesh.vertices).norm(dim=1)
    x = body.mesh.vertices[:, 0]
    assert float(moved[x > 0.4].min()) > 0.05
    assert float(moved[x < 0.25].max()) < 1e-3
    forward = body.pose(angles)[0] - body.mesh.vertices
    assert float(forward[x > 0.45, 2].max()) < 0  # towards -z, to the front


def test_long_arms_reach_farther() -> None:
    body = make_humanoid()
    longer = body.shaped(torch.tensor([[0.0, 1.0]]))[0]
    reach = float(body.mesh.vertices[:, 0].amax())
    torch.testing.assert_close(float(longer[:, 0].amax()), reach + 0.5 * (reach - 0.15))


def test_random_angles_keep_their_limits() -> None:
    low, high = humanoid_limits().unbind(-1)
    angles = random_angles(50, torch.Generator().manual_seed(1))
    assert bool(((angles >= low - 1e-6) & (angles <= high + 1e-6)).all())
    assert torch.equal(angles, random_angles(50, torch.Generator().manual_seed(1)))
