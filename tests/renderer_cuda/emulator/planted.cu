// Kernels with one mistake each, which the emulator has to find; and some without, which it has to
// run as the CUDA C++ programming guide says.
#include <cuda_runtime.h>

#include <map>
#include <stdexcept>
#include <string>

#include "memory.h"

namespace {

constexpr int block_size = 64, block_count = 2, size = block_size * block_count;

__device__ int place() { return int(blockIdx.x * blockDim.x + threadIdx.x); }

// ---- what threads do to each other -----------------------------------------------------------------

template <bool wait>
__global__ void reverse_each_block(const float* in, float* out) {
  __shared__ float staged[block_size];
  staged[threadIdx.x] = -1.0f;
  __syncthreads();
  staged[threadIdx.x] = in[place()];
  if (wait) __syncthreads();
  out[place()] = staged[block_size - 1 - threadIdx.x];
}

// The number of the first turn at which no thread of the block wants to go on: the barriers vote.
__global__ void count_votes(const float* in, float* out) {
  const int mine = int(in[place()]) % 70 % 50;
  int turn = 0;
  while (__syncthreads_or(turn < mine)) ++turn;
  out[place()] = float(turn);
}

template <bool atomic>
__global__ void count_threads(const float*, float* out) {
  __shared__ int count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (atomic) atomicAdd(&count, 1);
  else count += 1;
  __syncthreads();
  out[place()] = float(count);
}

__global__ void blocks_share_an_output(const float* in, float* out) { out[threadIdx.x] = in[threadIdx.x]; }

// Integer atomics, but who comes first is left to chance.
__global__ void take_slots(const float* in, float* out) {
  __shared__ int next;
  if (threadIdx.x == 0) next = 0;
  __syncthreads();
  out[blockIdx.x * block_size + unsigned(atomicAdd(&next, 1))] = in[place()];
}

__global__ void neighbours_in_a_warp(const float* in, float* out) {
  __shared__ float staged[block_size];
  staged[threadIdx.x] = in[place()];
  __syncwarp();
  out[place()] = staged[threadIdx.x ^ 1];
}

// ---- memory ----------------------------------------------------------------------------------------

template <int read_ahead, int write_ahead, int left_out>
__global__ void copy(const float* in, float* out) {
  if (place() < size - left_out) out[place() + write_ahead] = in[place() + read_ahead];
}

__global__ void change_input(const float* in, float* out) {
  out[place()] = in[place()];
  const_cast<float*>(in)[place()] = 0.0f;
}

__global__ void forget_to_stage(const float*, float* out) {
  __shared__ float staged[block_size];
  out[place()] = staged[threadIdx.x];
}

__global__ void share_much(const float* in, float* out) {
  __shared__ float staged[16384];
  staged[threadIdx.x] = in[place()];
  out[place()] = staged[threadIdx.x];
}

__global__ void overrun_shared(const float* in, float* out) {
  __shared__ float staged[block_size];
  float* beyond = staged + 1;
  beyond[threadIdx.x] = in[place()];
  out[place()] = beyond[threadIdx.x];
}

__global__ void overrun_stack(const float* in, float* out) {
  volatile float own[4] = {};
  __syncthreads();
  for (int i = 0; i <= int(blockDim.x) / 16; ++i) own[i] = in[place()];
  out[place()] = own[0];
}

__global__ void convert_too_large(const float* in, float* out) { out[place()] = float(int(1e30f + in[place()])); }

// ---- operations that wait --------------------------------------------------------------------------

__global__ void barrier_for_some(const float* in, float* out) {
  if (threadIdx.x < 16) __syncthreads();
  out[place()] = in[place()];
}

__global__ void barrier_in_each_branch(const float* in, float* out) {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[place()] = in[place()];
}

__global__ void vote_of_some(const float* in, float* out) {
  if (threadIdx.x % 32 < 16) __ballot_sync(0xffffffffu, 1);
  out[place()] = in[place()];
}

__global__ void vote_by_two_masks(const float* in, float* out) {
  const unsigned mask = threadIdx.x % 2 ? 0xffffffffu : 0x55555555u;
  out[place()] = in[place()] + float(__any_sync(mask, 0));
}

__global__ void shuffle_from_unnamed(const float* in, float* out) {
  if (threadIdx.x % 32 < 16) out[place()] = __shfl_down_sync(0xffffu, in[place()], 8);
}

// Row i of out [8, 16] is operation i as lanes 0..15 of the one warp see it.
__global__ void warp_operations(const float*, float* out) {
  const int lane = int(threadIdx.x);
  __shared__ unsigned word;
  if (lane == 0) word = 0;
  __syncwarp();
  atomicOr(&word, 1u << lane);
  __syncwarp();
  const double value = 100.0 + lane;
  const double results[8] = {
      __shfl_sync(~0u, value, 5),
      __shfl_sync(~0u, value, 11, 8),
      __shfl_up_sync(~0u, value, 3),
      __shfl_down_sync(~0u, value, 3, 8),
      __shfl_xor_sync(~0u, value, 5),
      double(__ballot_sync(~0u, lane % 3 == 0)),
      double(__any_sync(~0u, lane == 9) + 2 * __all_sync(~0u, lane == 9) + 4 * __all_sync(~0u, lane < 32) +
             8 * __popc(word)),
      double(__match_any_sync(~0u, lane % 3)),
  };
  for (int i = 0; lane < 16 && i < 8; ++i) out[16 * i + lane] = float(results[i]);
}

// ---- what the host does on the stream --------------------------------------------------------------

constexpr float numbers[size] = {};

void copy_to_input(const float* in, float*) {
  cudaMemcpyAsync(const_cast<float*>(in), numbers, sizeof(numbers), cudaMemcpyHostToDevice, nullptr);
}
void copy_too_much(const float*, float* out) {
  cudaMemcpyAsync(out + 1, numbers, sizeof(numbers), cudaMemcpyHostToDevice, nullptr);
}
void copy_from_device(const float* in, float* out) {
  cudaMemcpyAsync(out, in, sizeof(numbers), cudaMemcpyHostToDevice, nullptr);
}
void clear_too_much(const float*, float* out) { cudaMemsetAsync(out, 0, sizeof(numbers) + 4, nullptr); }
void clear_all(const float*, float* out) { cudaMemsetAsync(out, 0, sizeof(numbers), nullptr); }

// ---- launches --------------------------------------------------------------------------------------

struct Case {
  void (*kernel)(const float* in, float* out);
  int grid = block_count, block = block_size;
  void (*before)(const float* in, float* out) = [](const float*, float*) {};
};
const std::map<std::string, Case> cases = {
    {"reverse", {reverse_each_block<true>}},
    {"no barrier", {reverse_each_block<false>}},
    {"count", {count_threads<true>}},
    {"votes", {count_votes}},
    {"lost update", {count_threads<false>}},
    {"blocks race", {blocks_share_an_output}},
    {"slots by chance", {take_slots}},
    {"neighbours", {neighbours_in_a_warp}},
    {"overread", {copy<1, 0, 0>}},
    {"overrun", {copy<0, 1, 0>}},
    {"underrun", {copy<0, -1, 0>}},
    {"missed write", {copy<0, 0, 1>}},
    {"changed input", {change_input}},
    {"not staged", {forget_to_stage}},
    {"much shared memory", {share_much}},
    {"shared overrun", {overrun_shared}},
    {"stack overrun", {overrun_stack}},
    {"conversion", {convert_too_large}},
    {"barrier for some", {barrier_for_some}},
    {"two barriers", {barrier_in_each_branch}},
    {"vote of some", {vote_of_some}},
    {"two masks", {vote_by_two_masks}},
    {"unnamed lane", {shuffle_from_unnamed}},
    {"warp operations", {warp_operations, 1, 32}},
    {"half a warp", {warp_operations, 1, 16}},
    {"large block", {copy<0, 0, 0>, 1, 2048}},
    {"copied input", {copy<0, 0, 0>, block_count, block_size, copy_to_input}},
    {"long copy", {copy<0, 0, 0>, block_count, block_size, copy_too_much}},
    {"copy from device", {copy<0, 0, 0>, block_count, block_size, copy_from_device}},
    {"long clear", {copy<0, 0, 0>, block_count, block_size, clear_too_much}},
    {"cleared", {copy<0, 0, 64>, block_count, block_size, clear_all}},
};
std::string message;

}  // namespace

// Run a kernel from in [128] to out [128]; returns the empty string, or what was found.
extern "C" __attribute__((visibility("default"))) const char* planted(const char* name, const float* in, float* out) {
  message.clear();
  try {
    emulator::DeviceMemory memory;
    const float* device_in = memory.input("in", in, size);
    float* device_out = memory.output("out", out, size);
    const auto [kernel, grid, block, before] = cases.at(name);
    before(device_in, device_out);
    kernel<<<grid, block>>>(device_in, device_out);
    if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess) {
      message = cudaGetErrorString(status);
    } else {
      memory.finish();
    }
  } catch (const std::exception& error) {
    message = error.what();
  }
  return message.c_str();
}
