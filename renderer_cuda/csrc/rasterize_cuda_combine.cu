// The combine on the GPU: the sums of the parts of a face are added up, in the order of the parts.
#include "rasterize_cuda_backward.h"

namespace renderer {
namespace {

// A thread adds up one number of all parts of a face.
template <typename T>
__global__ void __launch_bounds__(backward_block) combine_kernel(Backward<T> b, Jobs jobs, const T* partials) {
  const int numbers = part_numbers(b.parameters);
  const int64_t at = int64_t(blockIdx.x) * backward_block + threadIdx.x, slot = at / numbers;
  if (slot >= jobs.slots) return;
  const Job job = jobs.job[slot];
  if (job.parts == 0 || job.part > 0) return;
  T sum(0);
  for (uint32_t i = 0; i < job.parts; ++i) sum += partials[at + int64_t(i) * numbers];
  const int number = int(at % numbers);
  if (number < corner_numbers) {
    b.grad_face_vertices[corner_numbers * job.face + number] = sum;
  } else {
    b.grad_face_textures[(numbers - corner_numbers) * job.face + number - corner_numbers] = sum;
  }
}

}  // namespace

template <typename T>
const char* queue_combine(const Backward<T>& b, const Jobs& jobs, const T* partials, cudaStream_t stream) {
  if (jobs.slots == 0) return nullptr;
  const int64_t sums = jobs.slots * part_numbers(b.parameters);
  const int64_t blocks = divide_up(sums, int64_t(backward_block));
  if (blocks > most_blocks) return "too many faces in one batch for one launch";
  combine_kernel<T><<<unsigned(blocks), backward_block, 0, stream>>>(b, jobs, partials);
  return last_error();
}

template const char* queue_combine(const Backward<float>&, const Jobs&, const float*, cudaStream_t);
template const char* queue_combine(const Backward<double>&, const Jobs&, const double*, cudaStream_t);

}  // namespace renderer
