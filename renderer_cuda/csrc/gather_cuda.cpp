// The CUDA back end's tensor side of gather_faces and sum_rows.
#include "cuda_launch.h"
#include "gather_cuda.h"

namespace renderer {
namespace {

struct CudaBackEnd {
  template <typename T>
  static void gather(const Gather<T>& g, const torch::stable::Tensor& vertices) {
    launch_on_device_of(vertices, g);
  }
  template <typename T>
  static void sum_rows(const Scatter<T>& s, const torch::stable::Tensor& rows) {
    launch_on_device_of(rows, s);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CudaBackEnd
#define RENDERER_DISPATCH_KEY CUDA
#include "gather_ops.h"
#include "sum_rows_ops.h"
