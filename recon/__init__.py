"""Single-image 3D mesh reconstruction with a differentiable soft rasterizer."""
