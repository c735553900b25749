"""Networks which turn one image into a mesh."""

from recon.models.colors import PaletteHead, VertexColorHead
from recon.models.decoder import MeshDecoder
from recon.models.directions import DirectionHead
from recon.models.efficientnet import EfficientNetLite0
from recon.models.encoder import SoftRasEncoder
from recon.models.prediction import Prediction, blank_prediction, predict
from recon.models.reconstructor import Reconstructor

__all__ = [
    "DirectionHead",
    "EfficientNetLite0",
    "MeshDecoder",
    "PaletteHead",
    "Prediction",
    "Reconstructor",
    "SoftRasEncoder",
    "VertexColorHead",
    "blank_prediction",
    "predict",
]
