// The CUDA back end's tensor side: memory, device and stream for the kernels.
#include "rasterize_cuda.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <dlfcn.h>

#include <stdexcept>
#include <string>
#include <vector>

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

// Where each buffer lies in one piece of memory, and how much that is.
struct Places {
  std::vector<int64_t> offsets;
  int64_t bytes = 0;

  explicit Places(const std::vector<Buffer>& buffers) {
    constexpr int64_t alignment = 256;
    for (const Buffer& buffer : buffers) {
      offsets.push_back(bytes);
      bytes += (buffer.bytes + alignment - 1) / alignment * alignment;
    }
  }
};

struct CudaBackEnd {
  template <typename Call>
  static void run(const Call& call, const Tensor& vertices) {
    const auto device = vertices.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    void* stream = current_stream(device);
    const Places places(scratch_of(call));
    // Freed when the kernels are queued: torch gives it again only to work that comes later on the stream.
    const Tensor memory = torch::stable::new_empty(vertices, {places.bytes}, torch::headeronly::ScalarType::Byte);
    std::vector<void*> scratch;
    for (const int64_t offset : places.offsets) scratch.push_back(static_cast<char*>(memory.data_ptr()) + offset);
    if (const char* error = launch(call, scratch.data(), stream)) {
      throw std::runtime_error(std::string("renderer_cuda: ") + error);
    }
  }
  template <typename T>
  static void forward(const Forward<T>& f, const Tensor& vertices) { run(f, vertices); }
  template <typename T>
  static void backward(const Backward<T>& b, const Tensor& vertices) { run(b, vertices); }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CudaBackEnd
#define RENDERER_DISPATCH_KEY CUDA
#include "rasterize_ops.h"
