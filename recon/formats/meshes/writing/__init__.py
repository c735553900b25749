"""Writers of mesh files, with the colours of vertices or with textures.

Our colours are sRGB. OBJ, PLY and PNG files keep them as they are; vertex colours of glTF are
linear light, so they are converted there, while its textures are sRGB.
"""
