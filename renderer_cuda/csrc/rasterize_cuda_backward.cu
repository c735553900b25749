// The backward on the GPU: its memory, and its stages one after the other.
//
// Faces gather their gradient from their pixels and write it once, so that nothing depends on the order in
// which threads run.
#include "rasterize_cuda.h"
#include "rasterize_cuda_backward.h"

namespace renderer {
namespace {

// The buffers of a launch.
template <typename T>
struct BackwardScratch {
  Faces<T> faces;       // [faces]
  int64_t* first_face;  // [B + 1] of a packed batch, on the device
  int64_t* counts;      // [B * levels + B] totals of Levels, then cursors of Jobs: cleared together
  Job* job;             // [slots] see Jobs
  T* partials;          // [slots, part_numbers] sums of parts
  PixelRow<T>* rows;    // [B, H, W] with colour
};

template <typename T>
BackwardScratch<T> take_scratch(const Parameters<T>& p, const Jobs& jobs, ScratchMemory& memory) {
  const bool cut = jobs.slots > 0, color = p.color != Color::none;
  return {take_faces<T>(p, memory),
          memory.take<int64_t>("first_face on the device", count_offsets(p)),
          memory.take<int64_t>("counts", cut ? count_totals(p, jobs.levels) + p.images : 0),
          memory.take<Job>("job", jobs.slots),
          memory.take<T>("partials", jobs.slots * part_numbers(p)),
          memory.take<PixelRow<T>>("rows", color ? p.images * p.height * p.width : 0)};
}

// Clear what the stages add to.
template <typename T>
void clear(const Backward<T>& b, const Jobs& jobs, T* partials, cudaStream_t stream) {
  const Parameters<T>& p = b.parameters;
  if (jobs.slots > 0) {
    const int64_t counts = count_totals(p, jobs.levels) + p.images;
    cudaMemsetAsync(jobs.levels.totals, 0, std::size_t(counts) * sizeof(int64_t), stream);
    cudaMemsetAsync(jobs.job, 0, std::size_t(jobs.slots) * sizeof(Job), stream);
  }
  if (p.color != Color::none && p.texture == Texture::surface) {
    cudaMemsetAsync(b.grad_face_textures, 0, std::size_t(p.faces * texture_numbers(p)) * sizeof(T), stream);
    if (jobs.slots > 0) cudaMemsetAsync(partials, 0, std::size_t(jobs.slots * part_numbers(p)) * sizeof(T), stream);
  }
}

template <typename T>
const char* queue_stages(const Backward<T>& b, const Gathering<T>& g, PixelRow<T>* rows, cudaStream_t stream) {
  const Parameters<T>& p = b.parameters;
  const Jobs& jobs = g.jobs;
  const PartNeed need = {part_shift};
  const char* error = setup_faces(b.face_vertices, b.face_textures, p, need, jobs.levels, g.faces, stream);
  if (!error) error = queue_jobs(p, g.faces.boxes, jobs, stream);
  if (!error && p.color != Color::none) error = queue_pixels(b, rows, stream);
  if (!error) error = queue_gather(b, g, stream);
  return error ? error : queue_combine(b, jobs, g.partials, stream);
}

}  // namespace

template <typename T>
int64_t scratch_bytes(const Backward<T>& b) {
  ScratchBlock measure;
  take_scratch(b.parameters, plan_jobs(b.parameters), measure);
  return measure.bytes();
}

template <typename T>
const char* launch(const Backward<T>& call, ScratchMemory& memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  Backward<T> b = call;
  Parameters<T>& p = b.parameters;
  if (p.images == 0 || p.faces == 0) return nullptr;
  if (p.height > most_side || p.width > most_side) return "an image has a side of more than 65535 pixels";
  Jobs jobs = plan_jobs(p);
  const BackwardScratch<T> s = take_scratch(p, jobs, memory);
  p.first_face = bring_offsets(p, s.first_face, stream);
  jobs.levels.totals = s.counts;
  jobs.cursor = s.counts + count_totals(p, jobs.levels);
  jobs.job = s.job;
  clear(b, jobs, s.partials, stream);
  const Gathering<T> gathering = {s.faces, s.rows, jobs, s.partials};
  return queue_stages(b, gathering, s.rows, stream);
}

template int64_t scratch_bytes(const Backward<float>&);
template int64_t scratch_bytes(const Backward<double>&);
template const char* launch(const Backward<float>&, ScratchMemory&, void*);
template const char* launch(const Backward<double>&, ScratchMemory&, void*);

}  // namespace renderer
