"""Networks which turn one image into a mesh."""

from recon.models.decoder import MeshDecoder
from recon.models.encoder import SoftRasEncoder
from recon.models.reconstructor import Reconstructor

__all__ = ["MeshDecoder", "Reconstructor", "SoftRasEncoder"]
