"""A mesh to turn in a notebook: the viewer of the report in an iframe, without any network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from recon.evaluation.report_page.rendering import render, render_page
from recon.evaluation.report_page.shapes import encode, encode_faces, predicted_shape
from recon.geometry.meshes import Mesh

# From where the mesh is seen at first: its front and one side.
_START = {"azimuth": -45.0, "elevation": 20.0, "distance": 2.732, "fov": 30.0}


@dataclass(frozen=True, eq=False)
class MeshViewer:
    """A viewer which a notebook shows: drag to turn, + and - to zoom, 0 to start again.

    Args:
        mesh: The mesh in the world of the cameras.
        colors: [V, 3] colours of the vertices or [F, R * R, 3] texels, sRGB in [0, 1]; None shows
            grey.
        height: The height of the viewer in pixels.
    """

    mesh: Mesh
    colors: Tensor | None
    height: int = 400

    def html(self) -> str:
        """Returns a whole page which needs nothing but itself."""
        faces: list = []
        shape = encode(predicted_shape(self.mesh.vertices, self.mesh.faces, self.colors), faces)
        content = {
            "faces": [encode_faces(one) for one in faces],
            "objects": [{"camera": _START, "mesh": shape}],
        }
        return render_page("mesh.html", content)

    def _repr_html_(self) -> str:
        """Returns an iframe, which notebooks show."""
        return render("mesh_frame.html", page=self.html(), height=self.height)
