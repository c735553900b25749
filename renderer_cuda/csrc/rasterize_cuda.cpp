// The CUDA back end's tensor side of the rasterizer.
#include "rasterize_cuda.h"

#include "cuda_launch.h"

namespace renderer {
namespace {

struct CudaBackEnd {
  template <typename T>
  static void forward(const Forward<T>& f, const torch::stable::Tensor& vertices) {
    launch_on_device_of(vertices, f);
  }
  template <typename T>
  static void backward(const Backward<T>& b, const torch::stable::Tensor& vertices) {
    launch_on_device_of(vertices, b);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CudaBackEnd
#define RENDERER_DISPATCH_KEY CUDA
#include "rasterize_ops.h"
