"""Single-image 3D mesh reconstruction with a differentiable soft rasterizer.

    import recon

    model = recon.load("run/checkpoints/best.pt")
    mesh = model.reconstruct("chair.png")
    mesh.save("chair.glb")

torch is loaded when one of these names is first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.geometry.cameras import Cameras as Cameras
    from recon.geometry.meshes import Mesh as Mesh
    from recon.inference.model import Model as Model
    from recon.inference.model import ReconstructedMesh as ReconstructedMesh
    from recon.inference.model import load as load
    from recon.inference.reconstruct import reconstruct as reconstruct
    from recon.rendering.renderer import SoftRenderer as SoftRenderer
    from recon.training.plain_config import train as train

# Public names, and the modules that define them.
_MODULES = {
    "Cameras": "recon.geometry.cameras",
    "Mesh": "recon.geometry.meshes",
    "Model": "recon.inference.model",
    "ReconstructedMesh": "recon.inference.model",
    "SoftRenderer": "recon.rendering.renderer",
    "load": "recon.inference.model",
    "reconstruct": "recon.inference.reconstruct",
    "train": "recon.training.plain_config",
}

__all__ = [
    "Cameras",
    "Mesh",
    "Model",
    "ReconstructedMesh",
    "SoftRenderer",
    "__version__",
    "load",
    "reconstruct",
    "train",
]

try:
    __version__ = version("recon")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "unknown"


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
