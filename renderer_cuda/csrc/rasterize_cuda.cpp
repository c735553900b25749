// The CUDA back end's tensor side: memory, device and stream for the kernels.
#include "rasterize_cuda.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <stdexcept>
#include <string>

// In libtorch_cuda, which is not linked: torch has loaded it before this library is.
extern "C" AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** ret_stream);

namespace renderer {
namespace {

using torch::stable::Tensor;

struct CudaBackEnd {
  template <typename Call, typename Launch>
  static void run(const Call& call, const Tensor& vertices, std::size_t face_bytes, Launch launch) {
    const auto device = vertices.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    void* stream = nullptr;
    if (aoti_torch_get_current_cuda_stream(device, &stream) != 0) {
      throw std::runtime_error("renderer_cuda: torch gives no CUDA stream");
    }
    const int64_t bytes = int64_t(face_bytes) * vertices.size(0) * vertices.size(1);
    const Tensor faces = torch::stable::new_empty(vertices, {bytes}, torch::headeronly::ScalarType::Byte);
    if (const char* error = launch(call, faces.data_ptr(), stream)) {
      throw std::runtime_error(std::string("renderer_cuda: ") + error);
    }
  }
  template <typename T>
  static void forward(const Forward<T>& f, const Tensor& vertices) {
    run(f, vertices, bytes_per_face<T>(), launch_forward<T>);
  }
  template <typename T>
  static void backward(const Backward<T>& b, const Tensor& vertices) {
    run(b, vertices, bytes_per_face<T>(), launch_backward<T>);
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CudaBackEnd
#define RENDERER_DISPATCH_KEY CUDA
#include "rasterize_ops.h"
