"""A mesh to turn in a notebook: the viewer of the report in an iframe, without any network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape

from torch import Tensor

from recon.evaluation.report_page.page import POLICY, asset
from recon.evaluation.report_page.shapes import encode, encode_faces, predicted_shape
from recon.geometry.meshes import Mesh

# From where the mesh is seen at first: its front and one side.
_START = {"azimuth": -45.0, "elevation": 20.0, "distance": 2.732, "fov": 30.0}
_STYLE = (
    "html, body, div, canvas { margin: 0; width: 100%; height: 100%; display: block; }"
    " div { touch-action: none; } body { overflow: hidden; }"
)
_START_VIEWER = (
    'const content = JSON.parse(document.getElementById("shapes").textContent);'
    'new Gallery(content, [document.querySelector("div")]);'
)


@dataclass(frozen=True, eq=False)
class MeshViewer:
    """A viewer which a notebook shows: drag to turn, + and - to zoom, 0 to start again.

    Args:
        mesh: In the world of the cameras.
        colors: [V, 3] of its vertices or [F, R * R, 3] texels, sRGB in [0, 1]; None shows grey.
        height: Pixels.
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
        data = json.dumps(content, separators=(",", ":")).replace("</", "<\\/")
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f"<title>Mesh</title><style>{_STYLE}</style></head><body>"
            '<div data-object="0" tabindex="0"><canvas data-shape="mesh" role="img"'
            ' aria-label="reconstructed mesh"></canvas></div>'
            f'<script type="application/json" id="shapes">{data}</script>'
            f"<script>{asset('viewer.js')}</script><script>{_START_VIEWER}</script></body></html>"
        )

    def _repr_html_(self) -> str:
        """Returns an iframe, which notebooks show."""
        return (
            f'<iframe srcdoc="{escape(self.html())}" style="width: 100%; height: {self.height}px; '
            'border: 0" sandbox="allow-scripts"></iframe>'
        )
