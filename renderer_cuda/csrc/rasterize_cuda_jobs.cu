// Jobs on the GPU: faces of very many pixels are cut into parts, each of which gets a warp of the gather.
#include "rasterize_cuda_backward.h"

namespace renderer {
namespace {

// Write the jobs of all faces that are cut. Which slots a face gets is left to chance; what comes of them
// is not.
__global__ void __launch_bounds__(range_faces) jobs_kernel(Meshes m, const Box* boxes, Jobs jobs) {
  const Range range = range_at(m, blockIdx.x);
  if (range.begin >= range.end) return;  // the whole block
  const int lane = threadIdx.x % warp_size, level = jobs.level(m, range.image);
  const int64_t face = range.begin + threadIdx.x;
  const uint32_t parts = face < range.end ? PartNeed{part_shift}(boxes[face], level) : 0;
  for (unsigned cut = __ballot_sync(all_lanes, parts > 0); cut; cut &= cut - 1) {
    const int source = __ffs(int(cut)) - 1;
    unsigned long long slot = 0;
    if (lane == source) slot = atomicAdd(reinterpret_cast<unsigned long long*>(jobs.cursor + range.image), parts);
    slot = __shfl_sync(all_lanes, slot, source) + jobs.first_slot(m, range.image);
    const uint32_t count = __shfl_sync(all_lanes, parts, source);
    for (uint32_t i = lane; i < count; i += warp_size) jobs.job[slot + i] = {face - lane + source, i, count};
  }
}

}  // namespace

template <typename T>
Jobs plan_jobs(const Parameters<T>& p) {
  const int64_t plane = int64_t(p.height) * p.width;
  Jobs jobs = {};
  if (plane <= most_whole_pixels) return jobs;
  while ((plane - 1) >> (part_shift + jobs.levels.count) > 0) ++jobs.levels.count;
  if (jobs.levels.count == 0) return jobs;
  ++jobs.levels.count;  // at the last level every face is whole
  // Four layers of faces in least parts; but no more than eight numbers a pixel, where faces have many texels.
  const int64_t parts = divide_up(4 * plane, int64_t(1) << part_shift), fitting = 8 * plane / part_numbers(p);
  jobs.per_image = parts < fitting ? parts : fitting;
  jobs.slots = p.faces / 16 + p.images * jobs.per_image;  // where those of one image more would begin
  return jobs;
}

const char* queue_jobs(const Meshes& m, const Box* boxes, const Jobs& jobs, cudaStream_t stream) {
  if (jobs.slots == 0) return nullptr;
  jobs_kernel<<<unsigned(count_ranges(m)), range_faces, 0, stream>>>(m, boxes, jobs);
  return last_error();
}

template Jobs plan_jobs(const Parameters<float>&);
template Jobs plan_jobs(const Parameters<double>&);

}  // namespace renderer
