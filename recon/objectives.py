"""What a training step minimises: the weighted sum of named terms."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from recon.losses import FlattenLoss, LaplacianLoss, silhouette_iou_loss

TERMS = ("silhouette", "laplacian", "flatten")


class SilhouetteObjective(nn.Module):
    """Silhouettes of several views crossed with several cameras, and two smoothness terms.

    Args:
        faces: [F, 3] of the mesh which the model deforms.
        num_vertices: V of that mesh.
        weights: the factor of each of `TERMS`; a term which is left out or 0 is not computed. The
            smoothness terms are sums over vertices and edges, so their factors belong to the size
            of the mesh (the paper's to 642 vertices).

    Raises:
        ValueError: a weight has another name or is negative, or none is positive.

    Source: SoftRas (arXiv 1904.01786), section 5.1; the sums are those of its code.
    """

    def __init__(self, faces: Tensor, num_vertices: int, weights: Mapping[str, float]) -> None:
        super().__init__()
        unknown = sorted(set(weights) - set(TERMS))
        if unknown or min(weights.values(), default=0) < 0 or not any(weights.values()):
            raise ValueError(
                f"loss.weights takes {TERMS}, each >= 0 and one > 0, got {dict(weights)}"
            )
        self.weights = {name: float(weights.get(name, 0.0)) for name in TERMS}
        self.laplacian_loss = LaplacianLoss(faces, num_vertices)
        self.flatten_loss = FlattenLoss(faces)

    def forward(self, alpha: Tensor, masks: Tensor, vertices: Tensor) -> dict[str, Tensor]:
        """The terms of a batch, without their weights.

        Args:
            alpha: [N, n, n, H, W]; [:, i, j] is the silhouette of the mesh made from view i in the
                camera of view j.
            masks: [N, n, H, W], the true silhouette of view j, in [0, 1].
            vertices: [N * n, V, 3], all meshes.

        Returns:
            A scalar for each term of positive weight.
        """
        terms: dict[str, Tensor] = {}
        if self.weights["silhouette"] > 0:
            truth = masks[:, None].expand_as(alpha)
            terms["silhouette"] = silhouette_iou_loss(alpha.flatten(0, 2), truth.flatten(0, 2))
        if self.weights["laplacian"] > 0:
            terms["laplacian"] = self.laplacian_loss(vertices)
        if self.weights["flatten"] > 0:
            terms["flatten"] = self.flatten_loss(vertices)
        return terms

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of terms, a scalar."""
        weighted = [self.weights[name] * term for name, term in terms.items()]
        return sum(weighted[1:], start=weighted[0])
