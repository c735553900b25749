// What the CUDA library tells of itself before its first op is called: whether its kernels run here.
#include <cuda_runtime.h>

#define RENDERER_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

__global__ void empty_kernel() {}

}  // namespace

// 1000 times the major version and 10 times the minor one, as CUDA counts.
RENDERER_EXPORT int renderer_cuda_toolkit_version() { return CUDART_VERSION; }

// The newest CUDA that the driver serves; 0 without a driver.
RENDERER_EXPORT int renderer_cuda_driver_version() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

// Launch an empty kernel and wait for it. Null when that works, else what CUDA says. The device, which is the
// current one of torch, becomes the current one of this library's runtime, too.
RENDERER_EXPORT const char* renderer_cuda_launch_error(int device) {
  cudaError_t status = cudaSetDevice(device);
  if (status == cudaSuccess) {
    empty_kernel<<<1, 1>>>();
    status = cudaGetLastError();
  }
  if (status == cudaSuccess) status = cudaDeviceSynchronize();
  cudaGetLastError();  // so that no later call is told of it
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}
