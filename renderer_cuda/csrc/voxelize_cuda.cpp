// The CUDA back end's tensor side of the voxeliser.
#include "cuda_launch.h"
#include "voxelize_cuda.h"

namespace renderer {
namespace {

struct CudaBackEnd {
  template <typename T>
  static void voxelize(const Voxelization<T>& v, const torch::stable::Tensor& vertices) {
    launch_on_device_of(vertices, v);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CudaBackEnd
#define RENDERER_DISPATCH_KEY CUDA
#include "voxelize_ops.h"
