// The CUDA back end of the voxeliser: grids, blocks and warps around the mathematics of voxelize.h.
//
// Deterministic: the surface is a union of bits, by integer atomics; the outside is the largest set
// that can be reached, whichever way. Nothing here depends on the order of threads.
#include "cuda_kernels.h"
#include "voxelize_cuda.h"

namespace renderer {
namespace {

constexpr int block_size = 256;
constexpr int tile_side = 16;  // words along x and y; one thread each
static_assert(tile_side * tile_side == block_size);

// Warps wanted on the chip at least; where there are fewer faces, several warps share a face.
constexpr int64_t enough_warps = 8192;

__device__ int64_t thread_of_grid() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

// ---- surface: a warp or several mark the voxels of a face -------------------------------------------

struct AtomicMark {
  BitGrid grid;
  uint64_t* surface;
  __device__ void operator()(int x, int y, int z) const {
    atomicOr(reinterpret_cast<unsigned long long*>(surface + grid.word(x, y, z)), BitGrid::bit(z));
  }
};

template <Mode mode, typename T, typename Real = RealOf<mode, T>>
__global__ void __launch_bounds__(block_size) surface_kernel(Voxelization<T> v, int warps_per_face, uint64_t* surface) {
  const int64_t warp = thread_of_grid() / warp_size, face = warp / warps_per_face;
  if (face >= v.meshes.faces) return;
  const int lane = threadIdx.x % warp_size, warp_of_face = int(warp % warps_per_face);
  const Share share = {warp_of_face * warp_size + lane, warps_per_face * warp_size};
  const BitGrid grid(v.resolution);
  const AtomicMark mark = {grid, surface + image_of(v.meshes, face) * grid.size()};
  mark_face<mode>(v.face_vertices + 9 * face, v.resolution, share, mark);
}

// ---- outside: tiles flood from their border, until none changes -------------------------------------

// The memory of a launch.
struct Grids {
  int64_t* first_face;  // [B + 1] of a packed batch, on the device
  uint64_t* open;       // [B, words] the voxels not on the surface, as a BitGrid for each image
  uint64_t* outside;    // [B, words] the open voxels that the outside has reached
  int32_t* changed;     // [B * tiles] the last round that changed the tile
};

// Turn surface into open, and start the outside at the border of the grid. A thread takes a word.
__global__ void __launch_bounds__(block_size) begin_kernel(BitGrid grid, int64_t words, Grids m) {
  const int64_t word = thread_of_grid();
  if (word >= words) return;
  const int64_t side = grid.resolution;
  const int w = int(word / (side * side) % grid.words), x = int(word / side % side), y = int(word % side);
  const uint64_t surface = m.open[word], open = ~surface & grid.voxels(w);
  m.open[word] = open;
  m.outside[word] = open & grid.border(x, y, w);
}

// The grids of a batch cut into tiles of 16 x 16 words (16 x 16 x 64 voxels).
struct Tiles {
  int side, words;  // of an image, along x and y; along z
  explicit HOST_DEVICE Tiles(const BitGrid& grid)
      : side(divide_up(grid.resolution, tile_side)), words(grid.words) {}
  HOST_DEVICE int64_t per_image() const { return int64_t(side) * side * words; }
  // Tiles are black and white as on a chessboard, and a round is for those of one colour: their neighbours stand
  // still meanwhile.
  HOST_DEVICE bool has_turn(int tile, int round) const {
    const int w = tile / (side * side), x = tile / side % side, y = tile % side;
    return (x + y + w + round) % 2 == 0;
  }
  // Rounds of the flood in which every tile has a block: what it takes to walk straight through the grid, and one
  // that finds nothing more to do. At least two: each colour has its turn.
  int wide_rounds() const { return side + words + 1; }
};

// Whether a tile touched by this one has changed in the round before; `changed` is that of the image.
__device__ bool has_news(const int32_t* of_image, const Tiles& tiles, int tile, int round) {
  const int before = round - 1, next_w = tiles.side * tiles.side;
  const int w = tile / next_w, x = tile / tiles.side % tiles.side, y = tile % tiles.side;
  const int32_t* changed = of_image + tile;
  return (y > 0 && changed[-1] == before) || (y + 1 < tiles.side && changed[1] == before) ||
         (x > 0 && changed[-tiles.side] == before) || (x + 1 < tiles.side && changed[tiles.side] == before) ||
         (w > 0 && changed[-next_w] == before) || (w + 1 < tiles.words && changed[next_w] == before);
}

// The outside bits that the words of other tiles show to the word at `outside`.
__device__ uint64_t from_other_tiles(const uint64_t* outside, const BitGrid& grid, int x, int y, int w) {
  const int side = grid.resolution, last = side - 1;
  const int64_t next_w = int64_t(side) * side;
  uint64_t bits = 0;
  if (x % tile_side == 0 && x > 0) bits |= outside[-side];
  if (x % tile_side == tile_side - 1 && x < last) bits |= outside[side];
  if (y % tile_side == 0 && y > 0) bits |= outside[-1];
  if (y % tile_side == tile_side - 1 && y < last) bits |= outside[1];
  if (w > 0) bits |= outside[-next_w] >> 63;
  if (w + 1 < grid.words) bits |= outside[next_w] << 63;
  return bits;
}

// The outside bits of a tile's words, as its threads see each other's.
struct Reached {
  uint64_t words[tile_side][tile_side];
};

// A block floods a tile until nothing moves in it; returns whether anything has.
__device__ bool flood_tile(const BitGrid& grid, const Grids& m, const Tiles& tiles, int64_t image, int tile,
                           Reached& reached) {
  const int tile_w = tile / (tiles.side * tiles.side);
  const int i = threadIdx.x / tile_side, j = threadIdx.x % tile_side;
  const int x = tile / tiles.side % tiles.side * tile_side + i, y = tile % tiles.side * tile_side + j;
  const bool inside = x < grid.resolution && y < grid.resolution;
  const int64_t word = image * grid.size() + grid.word(x, y, 64 * tile_w);
  const uint64_t open = inside ? m.open[word] : 0;
  const uint64_t before = inside ? m.outside[word] : 0;
  uint64_t own = before;
  if (inside) own |= open & from_other_tiles(m.outside + word, grid, x, y, tile_w);
  for (bool grew = true; __syncthreads_or(grew);) {
    own = flood_word(own, open);
    reached.words[i][j] = own;
    __syncthreads();
    uint64_t seen = 0;
    if (i > 0) seen |= reached.words[i - 1][j];
    if (i < tile_side - 1) seen |= reached.words[i + 1][j];
    if (j > 0) seen |= reached.words[i][j - 1];
    if (j < tile_side - 1) seen |= reached.words[i][j + 1];
    grew = (seen & open & ~own) != 0;
    own |= seen & open;
  }
  if (own != before) m.outside[word] = own;
  return __syncthreads_or(own != before);
}

// One round: a block takes a tile.
__global__ void __launch_bounds__(block_size) flood_kernel(BitGrid grid, Grids m, int round) {
  __shared__ Reached reached;
  const Tiles tiles(grid);
  const int64_t image = blockIdx.x / tiles.per_image();
  const int tile = int(blockIdx.x % tiles.per_image());
  if (!tiles.has_turn(tile, round)) return;
  int32_t* changed = m.changed + image * tiles.per_image();
  if (round > 2 && !has_news(changed, tiles, tile, round)) return;
  if (flood_tile(grid, m, tiles, image, tile, reached) && threadIdx.x == 0) changed[tile] = round;
}

// The rounds after `round` of one image, until one changes nothing: then it is at rest, as the tiles of the other
// colour have seen all else. A block takes an image, so that nobody has to ask whether to go on; few images need
// more than a look.
__global__ void __launch_bounds__(block_size) finish_kernel(BitGrid grid, Grids m, int round) {
  constexpr int warps = block_size / warp_size;
  __shared__ Reached reached;
  __shared__ unsigned waiting[warps];  // the tiles that have to be flooded, a bit each
  const Tiles tiles(grid);
  const int64_t image = blockIdx.x;
  const int warp = threadIdx.x / warp_size, count = int(tiles.per_image());
  int32_t* changed = m.changed + image * count;
  bool moved = false;
  for (int tile = threadIdx.x; tile < count; tile += block_size) moved |= changed[tile] == round;
  while (__syncthreads_or(moved)) {
    ++round;
    moved = false;
    for (int first = 0; first < count; first += block_size) {
      const int mine = first + threadIdx.x;
      const bool waits = mine < count && tiles.has_turn(mine, round) && has_news(changed, tiles, mine, round);
      const unsigned votes = __ballot_sync(all_lanes, waits);
      if (threadIdx.x % warp_size == 0) waiting[warp] = votes;
      __syncthreads();
      for (int w = 0; w < warps; ++w) {
        for (unsigned rest = waiting[w]; rest; rest &= rest - 1) {
          const int tile = first + w * warp_size + __ffs(int(rest)) - 1;
          if (!flood_tile(grid, m, tiles, image, tile, reached)) continue;
          moved = true;
          if (threadIdx.x == 0) changed[tile] = round;
        }
      }
      __syncthreads();  // waiting is read, and may be written again
    }
  }
}

// ---- what the outside does not reach: a thread writes a voxel ---------------------------------------

__global__ void __launch_bounds__(block_size)
    write_kernel(BitGrid grid, int64_t voxels, const uint64_t* outside, bool* occupied) {
  const int64_t voxel = thread_of_grid();
  if (voxel >= voxels) return;
  const int64_t side = grid.resolution, line = voxel / side;  // of all the images
  const int z = int(voxel % side), y = int(line % side), x = int(line / side % side);
  const int64_t image = line / (side * side);
  occupied[voxel] = !(outside[image * grid.size() + grid.word(x, y, z)] & BitGrid::bit(z));
}

// ---- launches --------------------------------------------------------------------------------------

int64_t count_words(int64_t images, const BitGrid& grid) { return images * grid.size(); }
int64_t count_changed(int64_t images, const BitGrid& grid) { return images * Tiles(grid).per_image(); }

template <Mode mode, typename T>
const char* mark_surface(const Voxelization<T>& v, uint64_t* surface, cudaStream_t stream) {
  const int64_t words = count_words(v.meshes.images, BitGrid(v.resolution));
  cudaMemsetAsync(surface, 0, std::size_t(words) * sizeof(uint64_t), stream);
  if (v.meshes.faces == 0) return last_error();
  int64_t warps_per_face = enough_warps / v.meshes.faces;
  warps_per_face = warps_per_face < 1 ? 1 : warps_per_face < v.resolution ? warps_per_face : v.resolution;
  const int64_t blocks = divide_up(v.meshes.faces * warps_per_face * warp_size, int64_t(block_size));
  if (blocks > most_blocks) return "too many faces in one batch for one launch";
  surface_kernel<mode><<<unsigned(blocks), block_size, 0, stream>>>(v, int(warps_per_face), surface);
  return last_error();
}

const char* flood(const BitGrid& grid, int64_t images, const Grids& m, cudaStream_t stream) {
  const int64_t words = count_words(images, grid), blocks = divide_up(words, int64_t(block_size));
  const Tiles tiles(grid);
  const int64_t all_tiles = images * tiles.per_image();
  if (blocks > most_blocks || all_tiles > most_blocks) return "too many voxels in one batch for one launch";
  cudaMemsetAsync(m.changed, 0, std::size_t(count_changed(images, grid)) * sizeof(int32_t), stream);
  begin_kernel<<<unsigned(blocks), block_size, 0, stream>>>(grid, words, m);
  if (const char* error = last_error()) return error;
  const int rounds = tiles.wide_rounds();
  for (int round = 1; round <= rounds; ++round) {
    flood_kernel<<<unsigned(all_tiles), block_size, 0, stream>>>(grid, m, round);
  }
  finish_kernel<<<unsigned(images), block_size, 0, stream>>>(grid, m, rounds);
  return last_error();
}

const char* write(const BitGrid& grid, int64_t images, const uint64_t* outside, bool* occupied, cudaStream_t stream) {
  const int64_t side = grid.resolution, voxels = images * side * side * side;
  const int64_t blocks = divide_up(voxels, int64_t(block_size));
  if (blocks > most_blocks) return "too many voxels in one batch for one launch";
  write_kernel<<<unsigned(blocks), block_size, 0, stream>>>(grid, voxels, outside, occupied);
  return last_error();
}

template <typename T>
Grids take_grids(const Voxelization<T>& v, ScratchMemory& memory) {
  const BitGrid grid(v.resolution);
  const int64_t images = v.meshes.images, words = count_words(images, grid);
  return {memory.take<int64_t>("first_face on the device", count_offsets(v.meshes)),
          memory.take<uint64_t>("open", words), memory.take<uint64_t>("outside", words),
          memory.take<int32_t>("changed", count_changed(images, grid))};
}

}  // namespace

template <typename T>
int64_t scratch_bytes(const Voxelization<T>& v) {
  ScratchBlock measure;
  take_grids(v, measure);
  return measure.bytes();
}

template <typename T>
const char* launch(const Voxelization<T>& call, ScratchMemory& memory, void* stream_handle) {
  if (call.meshes.images == 0) return nullptr;
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  Voxelization<T> v = call;
  const Grids grids = take_grids(v, memory);
  v.meshes.first_face = bring_offsets(v.meshes, grids.first_face, stream);
  const BitGrid grid(v.resolution);
  const auto mark = v.mode == Mode::softras ? mark_surface<Mode::softras, T> : mark_surface<Mode::solid, T>;
  if (const char* error = mark(v, grids.open, stream)) return error;
  if (const char* error = flood(grid, v.meshes.images, grids, stream)) return error;
  return write(grid, v.meshes.images, grids.outside, v.occupied, stream);
}

template int64_t scratch_bytes(const Voxelization<float>&);
template int64_t scratch_bytes(const Voxelization<double>&);
template const char* launch(const Voxelization<float>&, ScratchMemory&, void*);
template const char* launch(const Voxelization<double>&, ScratchMemory&, void*);

}  // namespace renderer
