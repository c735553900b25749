// Faces as layers prepare them on the GPU; see PlainFaces.
#pragma once

#include "layers.h"
#include "rasterize_cuda_faces.h"

namespace renderer {

template <typename T>
struct LayerFaces {
  LayersForward<T> call;

  HOST_DEVICE const Meshes& meshes() const { return call.parameters; }
  HOST_DEVICE Face<T> prepare(int64_t index) const { return setup_layer(call, index); }
};

}  // namespace renderer
