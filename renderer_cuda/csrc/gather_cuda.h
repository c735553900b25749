// The CUDA kernels of gather_faces and sum_rows, as the tensor side calls them: no torch and no CUDA type here.
#pragma once

#include "gather.h"
#include "scratch.h"

namespace renderer {

// See scratch.h. A corner whose vertex does not exist is NaN.
template <typename T> int64_t scratch_bytes(const Gather<T>&) { return 0; }
template <typename T> const char* launch(const Gather<T>&, ScratchMemory& memory, void* stream);

// The rows of a place are added in the order given: deterministic, without atomics.
template <typename T> int64_t scratch_bytes(const Scatter<T>&) { return 0; }
template <typename T> const char* launch(const Scatter<T>&, ScratchMemory& memory, void* stream);

}  // namespace renderer
