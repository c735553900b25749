// The op sum_rows over tensors, for the back end that includes this file.
//
// RENDERER_BACK_END names a class in namespace renderer with a static function sum_rows(Scatter<T>, rows), where
// the tensor `rows` tells the device; RENDERER_DISPATCH_KEY is the key to register under. The schema is
// defined in renderer_cuda/gathering.py, which alone makes `order` and `first`: their values are trusted.
#include <torch/csrc/stable/library.h>

#include "gather.h"
#include "tensors.h"

namespace renderer {
namespace {

inline bool is_index(const torch::stable::Tensor& index, int64_t least, const torch::stable::Tensor& rows) {
  return index.dim() == 1 && index.size(0) >= least && index.is_contiguous() &&
         index.scalar_type() == torch::headeronly::ScalarType::Int && index.is_cuda() == rows.is_cuda() &&
         index.get_device_index() == rows.get_device_index();
}

torch::stable::Tensor sum_rows(torch::stable::Tensor rows, torch::stable::Tensor order, torch::stable::Tensor first) {
  STD_TORCH_CHECK(rows.dim() == 3, "rows must have shape [B, M, C]");
  STD_TORCH_CHECK(is_index(order, 0, rows) && order.size(0) == rows.size(1),
                  "order must have shape [M], int32, contiguous, on the device of the rows");
  STD_TORCH_CHECK(is_index(first, 1, rows), "first must have shape [N + 1], int32, contiguous, on the device of the rows");
  const auto from = torch::stable::contiguous(rows);
  const RowSums sums = {from.size(0),         from.size(1), first.size(0) - 1, from.size(2), data<int32_t>(order),
                        data<int32_t>(first)};
  const auto totals = torch::stable::new_empty(from, {sums.images, sums.places, sums.channels});
  in_dtype_of(from, [&](auto zero) {
    using T = decltype(zero);
    RENDERER_BACK_END::sum_rows(Scatter<T>{sums, data<T>(from), data<T>(totals)}, from);
  });
  return totals;
}

}  // namespace
}  // namespace renderer

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, RENDERER_DISPATCH_KEY, sums_library) {
  sums_library.impl("sum_rows", TORCH_BOX(&renderer::sum_rows));
}
