// The CUDA back end's tensor side of layered colours and of blends.
#include "layers_cuda.h"

#include "blends_cuda.h"
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
    if (!f.parameters.over) return launch_on_device_of(vertices, RenderBlends<T>{f});
    const PairCounts pairs = count_pairs(f, vertices);
    launch_on_device_of(vertices, RenderLayers<T>{f, data<int64_t>(pairs.begin), pairs.total});
  }
  template <typename T>
  static void backward(const LayersBackward<T>& b, const Tensor& vertices) {
    if (!b.forward.parameters.over) return launch_on_device_of(vertices, RenderBlendsBackward<T>{b});
    const PairCounts pairs = count_pairs(b.forward, vertices);
    launch_on_device_of(vertices, RenderLayersBackward<T>{b, data<int64_t>(pairs.begin), pairs.total});
  }
};

}  // namespace
}  // namespace renderer

#define RENDERER_BACK_END CudaBackEnd
#define RENDERER_DISPATCH_KEY CUDA
#include "layers_ops.h"
