"""Writing meshes to files, with the colours of their vertices or with textures.

Our colours are sRGB. OBJ, PLY and PNG files keep them as they are; vertex colours of glTF are
linear light, so they are converted there, while its textures are sRGB.
"""

from recon.formats.meshes.writing.writer import COLORED_FORMATS, TEXTURED_FORMATS, save_mesh

__all__ = ["COLORED_FORMATS", "TEXTURED_FORMATS", "save_mesh"]
