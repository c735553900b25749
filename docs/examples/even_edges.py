"""A loss of one's own: the edges of a mesh should be of one length."""

from __future__ import annotations

from torch import Tensor

from recon.geometry.meshes import edges


def even_edges_loss(vertices: Tensor, faces: Tensor) -> Tensor:
    """Returns the mean squared deviation of edge lengths from their mean, relative to that.

    Args:
        vertices: [B, V, 3] predicted vertices.
        faces: [F, 3] int64 faces of every mesh.
    """
    pairs = edges(faces)
    lengths = (vertices[:, pairs[:, 0]] - vertices[:, pairs[:, 1]]).norm(dim=2)
    # A mesh shrunk to a point has no edges to compare: 1e-6 is far below any that is seen.
    mean = lengths.mean(dim=1, keepdim=True).clamp(min=1e-6)
    return (lengths / mean - 1).square().mean()
