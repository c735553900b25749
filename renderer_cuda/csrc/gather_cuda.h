// The CUDA kernel of gather_faces, as the tensor side calls it: no torch and no CUDA type here.
//
// There is none of scatter_faces: torch's accumulating index_put sorts, and so is deterministic.
#pragma once

#include "gather.h"
#include "scratch.h"

namespace renderer {

// See scratch.h. A corner whose vertex does not exist is NaN.
template <typename T> int64_t scratch_bytes(const Gather<T>&) { return 0; }
template <typename T> const char* launch(const Gather<T>&, ScratchMemory& memory, void* stream);

}  // namespace renderer
