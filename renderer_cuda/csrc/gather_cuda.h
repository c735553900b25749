// The CUDA kernel of gather_faces, as the tensor side calls it: no torch and no CUDA type here.
//
// There is none of scatter_faces: torch's accumulating index_put sorts, and so is deterministic.
#pragma once

#include "gather.h"
#include "scratch.h"

namespace renderer {

// See scratch.h. A corner whose vertex does not exist is NaN.
template <typename T> std::vector<Buffer> scratch_of(const Gather<T>&) { return {}; }
template <typename T> const char* launch(const Gather<T>&, void* const* scratch, void* stream);

}  // namespace renderer
