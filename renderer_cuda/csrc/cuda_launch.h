// Launches from the tensor side of a CUDA back end: device, stream and memory for the kernels.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "scratch.h"

namespace renderer {

// The stream torch works on. Its getter is in libtorch_cuda, which is not linked, so that one binary
// serves every torch: it is looked up among the libraries torch has loaded.
inline void* current_stream(int32_t device) {
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

// Launch a call (see scratch.h) on the device of a tensor.
template <typename Call>
void launch_on_device_of(const torch::stable::Tensor& tensor, const Call& call) {
  const int32_t device = tensor.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  void* stream = current_stream(device);
  // Freed when the kernels are queued: torch gives it again only to work that comes later on the stream.
  const auto memory =
      torch::stable::new_empty(tensor, {scratch_bytes(call)}, torch::headeronly::ScalarType::Byte);
  ScratchBlock scratch(memory.data_ptr());
  if (const char* error = launch(call, scratch, stream)) {
    throw std::runtime_error(std::string("renderer_cuda: ") + error);
  }
}

}  // namespace renderer
