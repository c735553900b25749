// Faces sorted into bins on the GPU: counted, summed up, filled in; ascending, the same on every run.
//
// A cell is a bin and a range of faces. Cells lie image by image, bin by bin, range by range, so that the
// running sum of their counts is where the faces of the range begin in the list of the bin: ranges are
// worked on in any order and the lists come out sorted.
#include "rasterize_cuda_faces.h"

namespace renderer {
namespace {

constexpr int warps = range_faces / warp_size;

// ---- counting and filling --------------------------------------------------------------------------

// A rectangle of bins, ends included; nothing where left > right.
struct BinBox {
  int left, right, top, bottom;
  __device__ bool contains(int x, int y) const { return (left <= x) & (x <= right) & (top <= y) & (y <= bottom); }
};

__device__ BinBox in_bins(Box box, int shift) {
  if (box.empty()) return {1, 0, 1, 0};
  return {box.first_column >> shift, (box.end_column - 1) >> shift, box.first_row >> shift, (box.end_row - 1) >> shift};
}

// The boxes of a range of faces, and the box around them.
struct StagedRange {
  BinBox boxes[range_faces];
  BinBox all;
};

__device__ void stage(const Box* boxes, const Range& range, int shift, StagedRange& staged) {
  const int64_t index = range.begin + threadIdx.x;
  const BinBox mine = in_bins(index < range.end ? boxes[index] : Box{0, 0, 0, 0}, shift);
  staged.boxes[threadIdx.x] = mine;
  if (threadIdx.x == 0) staged.all = {most_side, -1, most_side, -1};
  __syncthreads();
  if (mine.left <= mine.right) {
    atomicMin(&staged.all.left, mine.left);
    atomicMax(&staged.all.right, mine.right);
    atomicMin(&staged.all.top, mine.top);
    atomicMax(&staged.all.bottom, mine.bottom);
  }
  __syncthreads();
}

// A warp takes a bin and asks which of the faces touch it, 32 at a time: writes their indices in the mesh
// to list, and returns how many there are.
template <bool fill>
__device__ int visit_bin(const StagedRange& staged, int x, int y, int32_t first, int32_t* list) {
  const int lane = threadIdx.x % warp_size;
  int count = 0;
  for (int group = 0; group < range_faces; group += warp_size) {
    const bool touches = staged.boxes[group + lane].contains(x, y);
    const unsigned votes = __ballot_sync(all_lanes, touches);
    if (fill && touches) list[count + __popc(votes & lanes_before(lane))] = first + group + lane;
    count += __popc(votes);
  }
  return count;
}

// A block takes a range of faces; its warps share the bins that the range can touch.
template <bool fill>
__global__ void __launch_bounds__(range_faces) bins_kernel(Bins bins, const Box* boxes) {
  __shared__ StagedRange staged;
  const Range range = range_at(bins.meshes, blockIdx.x);
  if (range.begin >= range.end) return;  // the whole block
  const int level = bins.levels.choose(range.image, bins.capacity(range.image));
  stage(boxes, range, bins.shift + level, staged);

  const BinBox all = staged.all;
  const int columns = all.right - all.left + 1, rows = all.bottom - all.top + 1;
  const int64_t ranges = first_range(bins.meshes, range.image + 1) - first_range(bins.meshes, range.image);
  int64_t* cells = bins.cells + bins.first_cell(range.image) + range.number;
  for (int i = threadIdx.x / warp_size; i < columns * rows; i += warps) {
    const int x = all.left + i % columns, y = all.top + i / columns;
    int64_t& cell = cells[(int64_t(y) * bins.columns(level) + x) * ranges];
    int32_t* list = fill ? bins.list + cell : nullptr;
    const int count = visit_bin<fill>(staged, x, y, int32_t(range.number * range_faces), list);
    if (!fill && threadIdx.x % warp_size == 0) cell = count;
  }
}

// ---- the running sum -------------------------------------------------------------------------------

constexpr int scan_threads = 256, scan_warps = scan_threads / warp_size;
constexpr int scan_cells = scans_per_thread * scan_threads;  // of a block

struct ScanMemory {
  int64_t warp[scan_warps];
};

// The sum over the threads before this one; `total` becomes the sum over all of the block.
__device__ int64_t scan_block(int64_t value, ScanMemory& memory, int64_t& total) {
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  int64_t sum = value;
  for (int step = 1; step < warp_size; step *= 2) {
    const int64_t before = __shfl_up_sync(all_lanes, sum, step);
    if (lane >= step) sum += before;
  }
  if (lane == warp_size - 1) memory.warp[warp] = sum;
  __syncthreads();
  int64_t before = sum - value;
  total = 0;
  for (int w = 0; w < scan_warps; ++w) {
    if (w < warp) before += memory.warp[w];
    total += memory.warp[w];
  }
  __syncthreads();  // the sums are read, and may be written again
  return before;
}

// The sum of scan_cells cells for each block.
__global__ void __launch_bounds__(scan_threads) sums_kernel(const int64_t* cells, int64_t count, int64_t* sums) {
  __shared__ ScanMemory memory;
  const int64_t begin = int64_t(blockIdx.x) * scan_cells;
  int64_t sum = 0;
  for (int64_t i = begin + threadIdx.x; i < begin + scan_cells && i < count; i += scan_threads) sum += cells[i];
  int64_t total;
  scan_block(sum, memory, total);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

// Replace each cell by the sum of those before it.
__global__ void __launch_bounds__(scan_threads) scan_kernel(int64_t* cells, int64_t count, const int64_t* sums) {
  __shared__ ScanMemory memory;
  int64_t sum = 0, before;
  for (int64_t i = threadIdx.x; i < blockIdx.x; i += scan_threads) sum += sums[i];
  scan_block(sum, memory, before);
  const int64_t first = int64_t(blockIdx.x) * scan_cells;
  for (int64_t begin = first; begin < first + scan_cells && begin < count; begin += scan_threads) {
    const int64_t i = begin + threadIdx.x;
    int64_t total;
    const int64_t mine = before + scan_block(i < count ? cells[i] : 0, memory, total);
    if (i < count) cells[i] = mine;
    before += total;
  }
}

// ---- the plan --------------------------------------------------------------------------------------

constexpr int finest_shift = 4;

}  // namespace

// Bins are so wide that there are no more cells than faces and pixels.
template <typename T>
Bins plan_bins(const Parameters<T>& p) {
  Bins bins = {p, p.height, p.width, finest_shift};
  while (count_cells(bins) > p.faces + p.images * p.height * p.width + 1) ++bins.shift;
  const bool single = bins.columns(0) * bins.rows(0) == 1;
  if (single || most_faces(p) <= few_faces) return bins;
  for (int level = 0; level == 0 || bins.columns(level - 1) * bins.rows(level - 1) > 1; ++level) {
    bins.levels.count = level + 1;
  }
  return bins;
}

// And one, where the last list ends.
int64_t count_cells(const Bins& bins) { return count_ranges(bins.meshes) * bins.columns(0) * bins.rows(0) + 1; }
int64_t count_sums(const Bins& bins) { return count_scan_sums(count_cells(bins)); }
int64_t count_entries(const Bins& bins) {
  return 4 * bins.meshes.faces + bins.meshes.images * bins.height * bins.width;
}

int64_t count_scan_sums(int64_t count) { return divide_up(count, int64_t(scan_cells)); }

const char* queue_scan(int64_t* numbers, int64_t count, int64_t* sums, cudaStream_t stream) {
  const int64_t blocks = count_scan_sums(count);
  if (blocks > most_blocks) return "too many numbers for one launch";
  sums_kernel<<<unsigned(blocks), scan_threads, 0, stream>>>(numbers, count, sums);
  scan_kernel<<<unsigned(blocks), scan_threads, 0, stream>>>(numbers, count, sums);
  return last_error();
}

const char* sort_into_bins(const Bins& bins, const Box* boxes, cudaStream_t stream) {
  const int64_t ranges = count_ranges(bins.meshes);
  if (ranges > most_blocks) return "too many faces in one batch for one launch";
  bins_kernel<false><<<unsigned(ranges), range_faces, 0, stream>>>(bins, boxes);
  if (const char* error = queue_scan(bins.cells, count_cells(bins), bins.sums, stream)) return error;
  bins_kernel<true><<<unsigned(ranges), range_faces, 0, stream>>>(bins, boxes);
  return last_error();
}

template Bins plan_bins(const Parameters<float>&);
template Bins plan_bins(const Parameters<double>&);

}  // namespace renderer
