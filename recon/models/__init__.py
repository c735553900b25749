"""Networks which turn one image into a mesh."""

from recon.models.colors import PaletteHead, VertexColorHead
from recon.models.decoder import MeshDecoder
from recon.models.encoder import SoftRasEncoder
from recon.models.prediction import Predicting, Prediction
from recon.models.reconstructor import Reconstructor

__all__ = [
    "MeshDecoder",
    "PaletteHead",
    "Predicting",
    "Prediction",
    "Reconstructor",
    "SoftRasEncoder",
    "VertexColorHead",
]
