// The CUDA back end's tensor side of layered colours.
#include "layers_cuda.h"

#include "cuda_launch.h"
#include "tensors.h"

namespace renderer {
namespace {

using torch::stable::Tensor;

// Where the pairs of each pixel begin, and how many there are.
struct PairCounts {
  Tensor begin;
  int64_t total;
};

template <typename T>
PairCounts count_pairs(const LayersForward<T>& f, const Tensor& vertices) {
  const Tensor begin =
      torch::stable::new_empty(vertices, {count_pixels(f) + 1}, torch::headeronly::ScalarType::Long);
  int64_t total = 0;
  launch_on_device_of(vertices, CountPairs<T>{f, data<int64_t>(begin), &total});
  return {begin, total};
}

struct CudaBackEnd {
  template <typename T>
  static void forward(const LayersForward<T>& f, const Tensor& vertices) {
    const PairCounts pairs = count_pairs(f, vertices);
    launch_on_device_of(vertices, RenderLayers<T>{f, data<int64_t>(pairs.begin), pairs.total});
  }
  template <typename T>
  static void backward(const LayersBackward<T>& b, const Tensor& vertices) {
    const PairCounts pairs = count_pairs(b.forward, vertices);
    launch_on_device_of(vertices, RenderLayersBackward<T>{b, data<int64_t>(pairs.begin), pairs.total});
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CudaBackEnd
#define RENDERER_DISPATCH_KEY CUDA
#include "layers_ops.h"
