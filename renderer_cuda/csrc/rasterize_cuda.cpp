// The CUDA back end's tensor side: memory, device and stream for the kernels.
#include "rasterize_cuda.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace renderer {
namespace {

using torch::stable::Tensor;

// The stream torch works on. Its getter is in libtorch_cuda, which is not linked, so that one binary
// serves every torch: it is looked up among the libraries torch has loaded.
void* current_stream(int32_t device) {
  using Getter = AOTITorchError (*)(int32_t, void**);
  static const auto getter = [] {
    void* library = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
    return library ? reinterpret_cast<Getter>(dlsym(library, "aoti_torch_get_current_cuda_stream")) : nullptr;
  }();
  void* stream = nullptr;
  if (!getter || getter(device, &stream) != 0) {
    throw std::runtime_error("renderer_cuda: this torch gives no CUDA stream");
  }
  return stream;
}

struct CudaBackEnd {
  template <typename Call, typename Launch>
  static void run(const Call& call, const Tensor& vertices, std::size_t face_bytes, Launch launch) {
    const auto device = vertices.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    void* stream = current_stream(device);
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
