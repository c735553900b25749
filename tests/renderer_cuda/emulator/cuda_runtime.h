// What CUDA C++ adds to C++, for g++: as much of it as the kernels of renderer_cuda use.
//
// This file is found in place of the real <cuda_runtime.h>, so that the very .cu files compile for
// the CPU. Two things g++ cannot read are rewritten before (see compilation.py):
//   kernel<<<grid, block>>>(arguments);  ->  emulator::launch("kernel", [&] { kernel(arguments); }, grid, block);
//     (each thread evaluates the arguments, so they must not change anything)
//   __shared__ float sums[32];           ->  static float sums[32]; emulator::share("sums", sums);
// How a launch runs is told in scheduler.cpp, how its memory is guarded in memory.cpp, how each access
// to it is watched in accesses.cpp. Operations that wait take the place they are called from as a
// hidden last argument, so that errors can name it.
//
// Left out on purpose: floating-point atomics, as their result depends on the order of threads.
#pragma once

#include <math.h>

#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <source_location>

#define __CUDACC__ 1  // the sources take the branches they take under nvcc
#define __global__
#define __device__
#define __host__
#define __noinline__  // the standard library has it within __attribute__((...)), which may be empty
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

struct uint3 {
  unsigned x, y, z;
};
struct dim3 : uint3 {
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : uint3{x, y, z} {}
};
extern uint3 threadIdx, blockIdx;  // of the thread that runs now
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// ---- launches --------------------------------------------------------------------------------------

using cudaStream_t = struct Stream*;
using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0;
cudaError_t cudaGetLastError();  // and forget it
const char* cudaGetErrorString(cudaError_t);

// At once, as launches are; between memory of the host and that of the device alone.
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t);
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

namespace emulator {

using Site = std::source_location;

// Run `thread` once for every thread of the grid; what goes wrong is kept for cudaGetLastError.
void launch(const char* kernel, const std::function<void()>& thread, dim3 grid, dim3 block,
            std::size_t dynamic_shared_bytes = 0, cudaStream_t = nullptr);

// Wait for all threads of the block; returns the bits that any of them has brought.
uint64_t barrier(const char* operation, uint64_t brought, Site);
// Wait for the lanes named in mask; returns what each of them has brought [32].
const uint64_t* exchange(const char* operation, unsigned mask, uint64_t brought, Site);
unsigned lane();
// Make a static variable shared memory: one block runs at a time, and each finds it unwritten.
void share(const char* name, void* memory, std::size_t bytes);
template <typename T> void share(const char* name, T& variable) { share(name, &variable, sizeof(T)); }
// Tell that this thread changes memory by an atomic operation.
void touch_atomically(const void* address, std::size_t bytes);
[[noreturn]] void fail_here(const char* operation, const char* what, Site);

}  // namespace emulator

// ---- barriers, votes and shuffles ------------------------------------------------------------------

inline void __syncthreads(emulator::Site site = emulator::Site::current()) {
  emulator::barrier("__syncthreads", 0, site);
}
inline int __syncthreads_or(int predicate, emulator::Site site = emulator::Site::current()) {
  return int(emulator::barrier("__syncthreads_or", predicate != 0, site));
}

inline void __syncwarp(unsigned mask = 0xffffffffu, emulator::Site site = emulator::Site::current()) {
  emulator::exchange("__syncwarp", mask, 0, site);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace emulator {

inline unsigned vote(const char* operation, unsigned mask, bool predicate, Site site) {
  const uint64_t* brought = exchange(operation, mask, predicate, site);
  unsigned votes = 0;
  for (int i = 0; i < warpSize; ++i) votes |= (mask >> i & 1 ? unsigned(brought[i]) : 0u) << i;
  return votes;
}

// The value that lane `source` has brought; its own where the source lies outside of [first, end).
template <typename T>
T shuffle(const char* operation, unsigned mask, T value, int source, int first, int end, Site site) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const uint64_t* brought = exchange(operation, mask, bits, site);
  if (source < first || source >= end) return value;
  if (!(mask >> source & 1)) fail_here(operation, "reads a lane that the mask does not name", site);
  std::memcpy(&value, &brought[source], sizeof(T));
  return value;
}

inline int segment(int width) { return int(lane()) / width * width; }

}  // namespace emulator

inline unsigned __ballot_sync(unsigned mask, int predicate, emulator::Site site = emulator::Site::current()) {
  return emulator::vote("__ballot_sync", mask, predicate, site);
}
inline int __any_sync(unsigned mask, int predicate, emulator::Site site = emulator::Site::current()) {
  return emulator::vote("__any_sync", mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, emulator::Site site = emulator::Site::current()) {
  return emulator::vote("__all_sync", mask, predicate, site) == mask;
}
// The lanes that have brought the same.
template <typename T>
unsigned __match_any_sync(unsigned mask, T value, emulator::Site site = emulator::Site::current()) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const uint64_t* brought = emulator::exchange("__match_any_sync", mask, bits, site);
  unsigned same = 0;
  for (int i = 0; i < warpSize; ++i) same |= unsigned((mask >> i & 1) && brought[i] == bits) << i;
  return same;
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              emulator::Site site = emulator::Site::current()) {
  const int first = emulator::segment(width);
  return emulator::shuffle("__shfl_sync", mask, value, first + (source & (width - 1)), 0, warpSize, site);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 emulator::Site site = emulator::Site::current()) {
  const int first = emulator::segment(width), source = int(emulator::lane()) - int(delta);
  return emulator::shuffle("__shfl_up_sync", mask, value, source, first, warpSize, site);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   emulator::Site site = emulator::Site::current()) {
  const int end = emulator::segment(width) + width, source = int(emulator::lane()) + int(delta);
  return emulator::shuffle("__shfl_down_sync", mask, value, source, 0, end, site);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = warpSize,
                  emulator::Site site = emulator::Site::current()) {
  const int end = emulator::segment(width) + width, source = int(emulator::lane()) ^ flip;
  return emulator::shuffle("__shfl_xor_sync", mask, value, source, 0, end, site);
}

// ---- atomics ---------------------------------------------------------------------------------------

namespace emulator {

// Replace *address by change(*address); returns what was there. Threads change places only where
// they wait, so nothing can come between. Not inlined into code whose accesses are watched.
template <std::integral T, typename Change>
[[gnu::noinline, gnu::no_sanitize("thread")]] T atomically(T* address, T value, Change change) {
  touch_atomically(address, sizeof(T));
  const T old = *address;
  *address = change(old, value);
  return old;
}

}  // namespace emulator

#define EMULATED_ATOMIC(NAME, RESULT)                                                              \
  template <std::integral T>                                                                       \
  T NAME(T* address, std::type_identity_t<T> value) {                                              \
    return emulator::atomically(address, value, []([[maybe_unused]] T a, T b) -> T { return RESULT; }); \
  }
EMULATED_ATOMIC(atomicAdd, a + b)
EMULATED_ATOMIC(atomicSub, a - b)
EMULATED_ATOMIC(atomicAnd, a & b)
EMULATED_ATOMIC(atomicOr, a | b)
EMULATED_ATOMIC(atomicXor, a ^ b)
EMULATED_ATOMIC(atomicMin, b < a ? b : a)
EMULATED_ATOMIC(atomicMax, a < b ? b : a)
EMULATED_ATOMIC(atomicExch, b)
#undef EMULATED_ATOMIC

template <std::integral T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return emulator::atomically(address, value, [=](T a, T b) { return a == expected ? b : a; });
}

// ---- integers --------------------------------------------------------------------------------------

inline int __popc(unsigned a) { return std::popcount(a); }
inline int __clz(int a) { return std::countl_zero(unsigned(a)); }
inline int __ffs(int a) { return a == 0 ? 0 : std::countr_zero(unsigned(a)) + 1; }
template <typename T> T __ldg(const T* address) { return *address; }
