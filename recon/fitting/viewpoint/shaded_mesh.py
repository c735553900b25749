"""Renderings of a known mesh from a viewpoint under a light, and the losses between images."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.fitting.viewpoint.viewpoints import Viewpoints
from recon.geometry.meshes import Mesh
from recon.losses.color import overlap_color_l1_loss
from recon.losses.silhouette import silhouette_iou_loss, silhouette_squared_loss
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import SoftRenderer

# Pixels at the edge, which are covered in part, hardly count when colours are compared.
_INSIDE_POWER = 4


class ShadedMesh:
    """A known mesh with known colours, and how it looks from a viewpoint under a light.

    Args:
        mesh: The mesh with colours of faces, in world coordinates around the origin.
        fov: The full vertical angle of view in degrees.
        ambient: The intensity of the light from all directions.
        directional: The intensity of the light from one direction.

    Raises:
        ValueError: The mesh has no colours of faces, or an intensity is negative or not finite.
    """

    def __init__(
        self, mesh: Mesh, fov: float = 30.0, ambient: float = 0.4, directional: float = 0.6
    ) -> None:
        if mesh.face_colors is None:
            raise ValueError("the mesh must have colours of faces")
        if not directional > 0:
            raise ValueError(f"directional must be > 0, or no light is seen, got {directional}")
        self.mesh, self.colors, self.fov = mesh, mesh.face_colors, fov
        self.lighting = Lighting(ambient, directional, two_sided=True)
        self.radius = float(mesh.vertices.norm(dim=1).max())

    def render(
        self,
        viewpoints: Viewpoints,
        image_size: tuple[int, int],
        sigma: float,
        gamma: float,
        anti_aliasing: int = 1,
    ) -> Tensor:
        """Renders the mesh from each viewpoint.

        Args:
            viewpoints: The N viewpoints; all of their values have a gradient.
            image_size: (height, width) in pixels.
            sigma: The softness of edges, squared NDC units.
            gamma: The softness of depth, in radii of the mesh.
            anti_aliasing: The number of samples along each side of a pixel.

        Returns:
            [N, 4, H, W]; alpha is soft and colours are not multiplied by it.
        """
        distances = viewpoints.distance.detach()
        far = float(distances.max()) + self.radius
        near = max(float(distances.min()) - self.radius, 1e-2 * far)
        renderer = SoftRenderer(
            image_size,
            sigma=sigma,
            gamma=gamma * self.radius / (far - near),
            near=near,
            far=far,
            anti_aliasing=anti_aliasing,
            lighting=self.lighting,
        )
        count = len(viewpoints)
        return renderer(
            self.mesh.vertices.expand(count, -1, -1),
            self.mesh.faces,
            self.colors.expand(count, -1, -1),
            viewpoints.cameras(self.fov),
            light_direction=viewpoints.light,
        )

    def image(self, viewpoints: Viewpoints, image_size: tuple[int, int]) -> Tensor:
        """Renders sharp images [N, 4, H, W], not premultiplied, as cameras take them."""
        with torch.no_grad():
            rgba = self.render(viewpoints, image_size, 1e-7, 1e-3, anti_aliasing=4).clamp(0, 1)
        # Samples beside the object are black, so the mean over a pixel is premultiplied.
        colors = rgba[:, :3] / rgba[:, 3:].clamp(min=1e-6)  # where alpha is 0, black
        return torch.cat((colors.clamp(0, 1), rgba[:, 3:]), dim=1)


def viewpoint_losses(
    rendered: Tensor, truth: Tensor, color_weight: float = 1.0, exact: bool = False
) -> dict[str, Tensor]:
    """Compares silhouettes and colours, image by image.

    Args:
        rendered: [N, 4, H, W] the renderings, as the rasterizer returns them.
        truth: [N, 4, H, W] the true images, not premultiplied.
        color_weight: The weight of the term `color`.
        exact: Whether silhouettes are compared by `silhouette_squared_loss`, which is least at the
            truth; otherwise by `silhouette_iou_loss`, which converges from farther away.

    Returns:
        Terms [N]: `silhouette`, and `color` by `overlap_color_l1_loss`.
    """
    silhouette_loss = silhouette_squared_loss if exact else silhouette_iou_loss
    color = overlap_color_l1_loss(rendered, truth, _INSIDE_POWER, reduction="none")
    return {
        "silhouette": silhouette_loss(rendered[:, 3], truth[:, 3], reduction="none"),
        "color": color_weight * color,
    }
