// The offsets of a packed batch, brought to where the kernels read them; for the .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "meshes.h"

namespace renderer {

inline int64_t count_offsets(const Meshes& m) { return m.first_face ? m.images + 1 : 0; }

// Write first_face of a packed batch to `memory` of the device, and return it; null where all meshes are of one
// size. Nothing is read from the host later on, so a captured graph can be replayed. Offsets given on the device,
// which the host does not look at, are made to rise from 0 to the number of faces: a wrong one moves faces from one
// image to another, and never leads out of the batch.
const int64_t* bring_offsets(const Meshes&, int64_t* memory, cudaStream_t stream);

}  // namespace renderer
