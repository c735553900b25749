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

  __device__ int columns() const { return right - left + 1; }
  __device__ int bins() const { return left > right ? 0 : columns() * (bottom - top + 1); }
};

__device__ BinBox in_bins(Box box, int shift) {
  if (box.empty()) return {1, 0, 1, 0};
  return {box.first_column >> shift, (box.end_column - 1) >> shift, box.first_row >> shift, (box.end_row - 1) >> shift};
}

// A block looks at bins_at_once bins, and tells by one bit each which faces of its range touch them: what a range costs
// depends on how many bins its faces touch, and hardly on how far those lie apart.
struct StagedBins {
  BinBox all;                             // around the faces of the range
  unsigned touched[bins_at_once][warps];  // a word for the faces of each warp
};

// The rectangle of bins around the faces of all threads.
__device__ void surround(const BinBox& mine, BinBox& all) {
  if (threadIdx.x == 0) all = {most_side, -1, most_side, -1};
  __syncthreads();
  if (mine.bins() > 0) {
    atomicMin(&all.left, mine.left);
    atomicMax(&all.right, mine.right);
    atomicMin(&all.top, mine.top);
    atomicMax(&all.bottom, mine.bottom);
  }
  __syncthreads();
}

// Set the bit of a face in those of its bins which lie among the bins [begin, end) of the rectangle around the range:
// from the first row on that reaches so far, in the bins first, first + step, ... of its own rectangle. `bit` is that
// of the face in the words of this warp.
__device__ void set_bits(const BinBox& face, unsigned bit, int first, int step, int begin, int end,
                         StagedBins& staged) {
  const BinBox& all = staged.all;
  const int columns = face.columns(), down = step / columns, across = step % columns;
  const int warp = threadIdx.x / warp_size;
  const int begin_row = all.top + begin / all.columns();
  int x = face.left + first % columns, y = (face.top < begin_row ? begin_row : face.top) + first / columns;
  while (y <= face.bottom) {
    const int bin = (y - all.top) * all.columns() + x - all.left;
    if (bin >= end) return;
    if (bin >= begin) atomicOr(&staged.touched[bin - begin][warp], bit);
    x += across;
    y += down;
    if (x > face.right) {
      x -= columns;
      ++y;
    }
  }
}

// Tell which faces touch the bins [begin, end) of the rectangle around the range.
__device__ void touch_bins(const BinBox& mine, int begin, int end, StagedBins& staged) {
  const int lane = threadIdx.x % warp_size, bins = mine.bins();
  for (int i = threadIdx.x; i < (end - begin) * warps; i += range_faces) staged.touched[i / warps][i % warps] = 0;
  __syncthreads();
  if (bins > 0 && bins <= most_own_bins) set_bits(mine, 1u << lane, 0, 1, begin, end, staged);
  for (unsigned wide = __ballot_sync(all_lanes, bins > most_own_bins); wide; wide &= wide - 1) {
    const int source = __ffs(int(wide)) - 1;
    const BinBox face = {__shfl_sync(all_lanes, mine.left, source), __shfl_sync(all_lanes, mine.right, source),
                         __shfl_sync(all_lanes, mine.top, source), __shfl_sync(all_lanes, mine.bottom, source)};
    set_bits(face, 1u << source, lane, warp_size, begin, end, staged);
  }
  __syncthreads();
}

// Write the faces of a word to a list, ascending; the first of them has the index `first` in its mesh.
__device__ void list_faces(unsigned word, int32_t first, int32_t* list) {
  for (; word; word &= word - 1) *list++ = first + __ffs(int(word)) - 1;
}

// A block takes a range of faces, and counts or lists those of each bin. Eight threads take a bin, a word each.
template <bool fill>
__global__ void __launch_bounds__(range_faces) bins_kernel(Bins bins, const Box* boxes) {
  __shared__ StagedBins staged;
  const Range range = range_at(bins.meshes, blockIdx.x);
  if (range.begin >= range.end) return;  // the whole block
  const int level = bins.levels.choose(range.image, bins.capacity(range.image));
  const int64_t index = range.begin + threadIdx.x;
  const BinBox mine = in_bins(index < range.end ? boxes[index] : Box{0, 0, 0, 0}, bins.shift + level);
  surround(mine, staged.all);

  const BinBox all = staged.all;
  const int total = all.bins(), word_of_bin = threadIdx.x % warps;
  const int64_t ranges = first_range(bins.meshes, range.image + 1) - first_range(bins.meshes, range.image);
  int64_t* cells = bins.cells + bins.first_cell(range.image) + range.number;
  for (int begin = 0; begin < total; begin += bins_at_once) {
    const int end = begin + bins_at_once < total ? begin + bins_at_once : total;
    touch_bins(mine, begin, end, staged);
    for (int first = begin; first < end; first += range_faces / warps) {
      const int bin = first + int(threadIdx.x) / warps;
      const unsigned word = bin < end ? staged.touched[bin - begin][word_of_bin] : 0;
      int count = __popc(word);  // then of the words up to this one
      for (int step = 1; step < warps; step *= 2) {
        const int before = __shfl_up_sync(all_lanes, count, step, warps);
        if (word_of_bin >= step) count += before;
      }
      const int x = all.left + bin % all.columns(), y = all.top + bin / all.columns();
      int64_t& cell = cells[(int64_t(y) * bins.columns(level) + x) * ranges];
      if (fill && word) {
        const int32_t first_index = int32_t(range.number * range_faces) + word_of_bin * warp_size;
        list_faces(word, first_index, bins.list + cell + count - __popc(word));
      }
      if (!fill && word_of_bin == warps - 1 && count > 0) cell = count;
    }
    __syncthreads();  // the words are read, and may be cleared
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
