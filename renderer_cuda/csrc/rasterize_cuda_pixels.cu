// Pixels on the GPU: what the gather reads of each pixel is laid out in one row.
#include "rasterize_cuda_backward.h"

namespace renderer {
namespace {

template <Color mode, bool every_mode, typename T>
__global__ void __launch_bounds__(backward_block) lay_out_kernel(Backward<T> b, PixelRow<T>* rows) {
  const int64_t plane = int64_t(b.parameters.height) * b.parameters.width;
  const int64_t at = int64_t(blockIdx.x) * backward_block + threadIdx.x;
  if (at >= b.parameters.images * plane) return;
  const int64_t image = at / plane, pixel = at % plane;
  const T* grad = b.grad_image + 4 * image * plane + pixel;
  const T* rgb = b.image + 4 * image * plane + pixel;
  const PixelState<T> alpha = alpha_gradient<mode, every_mode>(b, image, plane, pixel);
  PixelRow<T> row = {alpha.common, {}, T(0), T(0), T(0), -1};
  for (int k = 0; k < 3; ++k) {
    row.color[k] = grad[k * plane];
    row.mean += grad[k * plane] * rgb[k * plane];
  }
  if (mode == Color::softmax) {
    row.exponent = b.peak[at];
    row.inverse_partition = T(1) / b.partition[at];
  } else {
    row.face = b.nearest_face[at];
  }
  // A number that the mode leaves free takes what is kept of the state of alpha.
  if (every_mode && mode == Color::softmax) memcpy(&row.face, &alpha.kept, sizeof(row.face));
  if (every_mode && mode == Color::hard) row.exponent = alpha.kept;
  rows[at] = row;
}

}  // namespace

template <typename T>
const char* queue_pixels(const Backward<T>& b, PixelRow<T>* rows, cudaStream_t stream) {
  const Parameters<T>& p = b.parameters;
  const int64_t blocks = divide_up(p.images * p.height * p.width, int64_t(backward_block));
  if (blocks > most_blocks) return "too many pixels in one batch for one launch";
  with_modes<T>(p, [&](auto color, auto every_mode) {
    if constexpr (color.value != Color::none) {
      lay_out_kernel<color.value, every_mode.value, T><<<unsigned(blocks), backward_block, 0, stream>>>(b, rows);
    }
  });
  return last_error();
}

template const char* queue_pixels(const Backward<float>&, PixelRow<float>*, cudaStream_t);
template const char* queue_pixels(const Backward<double>&, PixelRow<double>*, cudaStream_t);

}  // namespace renderer
