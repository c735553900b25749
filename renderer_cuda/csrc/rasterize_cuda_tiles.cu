// Crowded tiles on the GPU: faces that touch each tile are counted, and the lists of crowded ones are cut into parts.
#include "rasterize_cuda_tiles.h"

namespace renderer {
namespace {

constexpr int block_size = 256, warps = block_size / warp_size;

__device__ bool touches(const BinFaces& faces, int64_t at, const Box* boxes, Tile tile) {
  return at < faces.count && touched_groups(boxes[faces.list ? faces.list[at] : at], tile) != 0;
}

// A block counts the faces that touch its tile, unless the list of the bin is too short for it to be cut.
__global__ void __launch_bounds__(block_size) count_kernel(Bins bins, const Box* boxes, Cuts cuts) {
  __shared__ uint32_t count;
  const Tile tile = tile_at(bins.height, bins.width, blockIdx.x);
  const BinFaces faces = faces_at(bins, tile.image, tile.column, tile.row);
  if (faces.count <= most_tile_faces) {  // the whole block
    if (threadIdx.x == 0) cuts.tiles[blockIdx.x] = {0, 0, 0};
    return;
  }
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  const Box* mine = boxes + first_face_of(bins.meshes, tile.image);
  uint32_t touching = 0;
  for (int64_t at = threadIdx.x; at < faces.count; at += block_size) touching += touches(faces, at, mine, tile);
  atomicAdd(&count, touching);
  __syncthreads();
  if (threadIdx.x == 0) cuts.tiles[blockIdx.x] = {count, 0, 0};
  const int level = int(threadIdx.x);
  const uint32_t parts = level < cuts.levels.count ? parts_of_tile(count, level) : 0;
  if (parts == 0) return;
  int64_t* total = cuts.levels.totals + tile.image * cuts.levels.count + level;
  atomicAdd(reinterpret_cast<unsigned long long*>(total), static_cast<unsigned long long>(parts));
}

// Give the parts of a tile their slots; `first` becomes that of the first. Which ones a tile gets is left to chance; what comes of
// them is not.
__device__ void take_slots(const Meshes& m, const Cuts& cuts, int64_t image, uint32_t parts, int64_t* first) {
  if (threadIdx.x == 0) {
    const auto cursor = reinterpret_cast<unsigned long long*>(cuts.cursor + image);
    *first = cuts.first_slot(m, image) + int64_t(atomicAdd(cursor, static_cast<unsigned long long>(parts)));
    cuts.tiles[blockIdx.x].parts = parts;
    cuts.tiles[blockIdx.x].slot = *first;
  }
  __syncthreads();
}

// A block finds where the parts of its tile begin: of the faces that touch the tile, at every `each`-th.
__global__ void __launch_bounds__(block_size) cut_kernel(Bins bins, const Box* boxes, Cuts cuts) {
  __shared__ int64_t slot;
  __shared__ uint32_t counts[2][warps];  // of a round; the next round has another place, so that one barrier is enough
  const Tile tile = tile_at(bins.height, bins.width, blockIdx.x);
  const uint32_t total = cuts.tiles[blockIdx.x].faces;
  const uint32_t parts = total > 0 ? parts_of_tile(total, cuts.level(bins.meshes, tile.image)) : 0;
  if (parts == 0) return;  // the whole block
  take_slots(bins.meshes, cuts, tile.image, parts, &slot);
  const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  const BinFaces faces = faces_at(bins, tile.image, tile.column, tile.row);
  const Box* mine = boxes + first_face_of(bins.meshes, tile.image);
  const uint32_t each = divide_up(total, parts);
  uint32_t seen = 0;
  int round = 0;
  for (int64_t first = 0; first < faces.count; first += block_size, round ^= 1) {
    const int64_t at = first + threadIdx.x;
    const bool touching = touches(faces, at, mine, tile);
    const unsigned votes = __ballot_sync(all_lanes, touching);
    if (lane == 0) counts[round][warp] = __popc(votes);
    __syncthreads();
    uint32_t number = seen + __popc(votes & lanes_before(lane));
    for (int w = 0; w < warps; ++w) {
      if (w < warp) number += counts[round][w];
      seen += counts[round][w];
    }
    if (touching && number % each == 0) cuts.parts[slot + number / each] = {at, blockIdx.x, number / each, parts};
  }
}

}  // namespace

Cuts plan_cuts(const Meshes& m) {
  Cuts cuts = {};
  const int64_t most = most_faces(m);
  if (most <= uncut_mesh_faces) return cuts;
  while (most_tile_faces << cuts.levels.count < most) ++cuts.levels.count;
  ++cuts.levels.count;  // at the last level every tile is whole
  cuts.slots = m.faces / slot_faces + m.images * image_slots;  // where those of one image more would begin
  return cuts;
}

const char* queue_cuts(const Bins& bins, const Box* boxes, const Cuts& cuts, cudaStream_t stream) {
  if (cuts.slots == 0) return nullptr;
  const int64_t tiles = count_tiles(bins.meshes, bins.height, bins.width);
  if (tiles > most_blocks) return "too many pixels in one batch for one launch";
  count_kernel<<<unsigned(tiles), block_size, 0, stream>>>(bins, boxes, cuts);
  cut_kernel<<<unsigned(tiles), block_size, 0, stream>>>(bins, boxes, cuts);
  return last_error();
}

}  // namespace renderer
