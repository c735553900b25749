"""Single-image 3D mesh reconstruction with a differentiable soft rasterizer.

    import recon
    mesh = recon.reconstruct("image.png", "run/checkpoints/best.pt")

`reconstruct` is that of `recon.inference.reconstruct`; torch is loaded when it is first asked
for.
"""

from importlib import import_module
from typing import Any

__all__ = ["reconstruct"]


def __getattr__(name: str) -> Any:
    if name == "reconstruct":
        return import_module("recon.inference.reconstruct").reconstruct
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
