// What the kernels of a launch ask of its tensor side.
//
// For every kind of call there are, found by overloading:
//   std::vector<Buffer> scratch_of(const Call&);
//   const char* launch(const Call&, void* const* scratch, void* stream);
// `scratch` holds an address in device memory, a multiple of 16, for each buffer of scratch_of; `stream` is
// a cudaStream_t. `launch` returns null, or what CUDA says went wrong.
#pragma once

#include <cstdint>
#include <vector>

namespace renderer {

// Device memory that the kernels of a launch use between themselves; it need not be cleared.
struct Buffer {
  const char* name;
  int64_t bytes;
};

}  // namespace renderer
