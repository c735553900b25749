// The forward on the GPU: a block renders a tile of pixels from the faces of a bin, a thread owns a pixel.
//
// Deterministic: every pixel meets its faces in ascending order. Where very many touch a tile several blocks take a part of them
// each, and a pixel meets the parts in order (rasterize_cuda_tiles.h). Faces pass four sieves before a thread
// evaluates them: the list of the bin, the tile of the block, and the box and the edges of the face against
// the 4 x 2 pixels of eight lanes, which go through the faces they share on their own.
#include "rasterize_cuda.h"
#include "rasterize_cuda_tiles.h"
#include "shading.h"

namespace renderer {
namespace {

constexpr int block_size = tile_threads, warps = tile_warps;

// Where a pixel lies: that of a lane among those of its warp, or that of a thread in the image.
struct Place {
  int column, row;
};

__device__ Place place_of_lane(int lane) {
  const int group = lane / group_lanes, rest = lane % group_lanes;
  return {group % 2 * group_columns + rest % group_columns, group / 2 * group_rows + rest / group_columns};
}

__device__ Place place_of_thread(Tile tile, int warp, int lane) {
  const Place place = place_of_lane(lane);
  return {tile.column + place.column, tile.row + warp * warp_rows + place.row};
}

// ---- the faces of a tile ---------------------------------------------------------------------------

constexpr int staged_faces = warp_size;      // drawn together: one vote of a warp finds its faces
constexpr int queue_goal = 2 * staged_faces;
constexpr int queue_size = queue_goal - 1 + block_size;

// Faces that touch the tile, in ascending order, and which of its groups of lanes their boxes touch, see touched_groups.
struct Queue {
  int32_t face[queue_size];
  uint8_t touched[queue_size];
  int counts[2][warps];  // of a round; the next round has another place, so that one barrier is enough
};

// Move on through the faces of the bin until enough for some stages are queued, or all are seen; returns
// how many are queued. `boxes` are those of the mesh.
__device__ int fill_queue(const BinFaces& faces, int64_t& next, const Box* boxes, Tile tile, Queue& queue) {
  const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  int queued = 0;
  for (int round = 0; queued < queue_goal && next < faces.count; round ^= 1, next += block_size) {
    const int64_t mine = next + threadIdx.x;
    int32_t face = 0;
    unsigned touched = 0;
    if (mine < faces.count) {
      face = faces.list ? faces.list[mine] : int32_t(mine);
      touched = touched_groups(boxes[face], tile);
    }
    const unsigned votes = __ballot_sync(all_lanes, touched != 0);
    if (lane == 0) queue.counts[round][warp] = __popc(votes);
    __syncthreads();
    int place = queued + __popc(votes & lanes_before(lane));
    for (int w = 0; w < warps; ++w) {
      if (w < warp) place += queue.counts[round][w];
      queued += queue.counts[round][w];
    }
    if (touched) {
      queue.face[place] = face;
      queue.touched[place] = uint8_t(touched);
    }
  }
  __syncthreads();
  return queued;
}

// The faces drawn together, and the colours of their corners.
template <Color mode, typename T>
struct Staged {
  Slot<T> slots[staged_faces];
  T corners[mode == Color::none ? 1 : 9 * staged_faces];
};

struct alignas(16) Piece {
  uint32_t words[4];
};

// Copy the faces queue[first], ..., queue[first + count - 1] into shared memory.
template <Color mode, typename T>
__device__ void stage(const Forward<T>& f, const Slot<T>* slots, int64_t first_face, const int32_t* queue, int count,
                      Staged<mode, T>& staged) {
  constexpr int pieces = sizeof(Slot<T>) / sizeof(Piece);
  for (int i = threadIdx.x; i < count * pieces; i += block_size) {
    const int face = i / pieces, piece = i % pieces;
    const auto from = reinterpret_cast<const char*>(slots + first_face + queue[face]) + piece * sizeof(Piece);
    const auto to = reinterpret_cast<char*>(staged.slots + face) + piece * sizeof(Piece);
    memcpy(__builtin_assume_aligned(to, 16), __builtin_assume_aligned(from, 16), sizeof(Piece));
  }
  if constexpr (mode != Color::none) {
    if (f.parameters.texture == Texture::surface) return;
    for (int i = threadIdx.x; i < 9 * count; i += block_size) {
      staged.corners[i] = f.face_textures[9 * (first_face + queue[i / 9]) + i % 9];
    }
  }
}

// ---- faces against groups of lanes ------------------------------------------------------------------

// The groups of a warp whose pixels all lie beyond an edge of a face, farther than its support reaches: a bit each.
// (x, y) is the middle of the warp's pixels, NDC.
//
// Beyond the line of an edge, with the corner opposite to it on the other side, the distance from the face is at least
// that from the line, which is greatest in a corner of a group. The slack covers all roundings of `cover` and of what
// is computed here, three epsilons at most of the numbers it is a part of: nothing that `cover` would find is left out.
template <typename T>
__device__ unsigned groups_beyond(const Outline<T>& face, const Parameters<T>& p, T x, T y) {
  const T slack = T(16) * Limits<T>::epsilon, half = p.inverse_shorter;  // of the side of a pixel
  const T limit = p.support_square * (T(1) + slack);
  const T side = face.inverse_area < T(0) ? T(-1) : T(1);
  T extent = absolute(x) + absolute(y) + T(8) * half;
  for (int k = 0; k < 3; ++k) extent += absolute(face.edge_x[k]) + absolute(face.edge_y[k]);
  unsigned beyond = 0;
  for (int k = 0; k < 3; ++k) {
    const T edge_x = side * face.edge_x[k], edge_y = side * face.edge_y[k];
    const T long_x = absolute(edge_x), long_y = absolute(edge_y);
    const T offset_x = x - face.x[k], offset_y = y - face.y[k];
    const T error = slack * (long_x + long_y) * (absolute(offset_x) + absolute(offset_y) + extent);
    // Positive inside; of the pixels of a group, the corners lie 3 and 1 halves of a pixel beside its middle, and that
    // of a group 4 and 2 halves beside (x, y).
    const T most = edge_x * offset_y - edge_y * offset_x + half * (long_x + T(3) * long_y) + error;
    const T right = T(-4) * half * edge_y, down = T(-2) * half * edge_x;
    for (int group = 0; group < groups; ++group) {
      const T inward = most + (group % 2 ? right : -right) + (group / 2 ? down : -down);
      const bool far = inward < T(0) && inward * face.inverse_length[k] * inward > limit;
      beyond |= unsigned(far) << group;
    }
  }
  return beyond;
}

// The faces of a stage that the group of this lane has to look at, a bit each. `touched` are the groups of this warp
// that the box of the lane's face touches; (x, y) is the pixel of the lane, NDC. Edges are asked in the modes of
// training alone: not all modes reach by distance, and the kernels of the others have no registers left.
template <bool every_mode, typename T>
__device__ unsigned faces_of_group(const Outline<T>& face, unsigned touched, const Parameters<T>& p, T x, T y) {
  const int lane = threadIdx.x % warp_size, own = lane / group_lanes;
  if (!every_mode && touched) {
    const Place place = place_of_lane(lane);
    const T middle_x = x + T(tile_side - 1 - 2 * place.column) * p.inverse_shorter;
    const T middle_y = y - T(warp_rows - 1 - 2 * place.row) * p.inverse_shorter;
    touched &= ~groups_beyond(face, p, middle_x, middle_y);
  }
  unsigned mine = 0;
  for (int group = 0; group < groups; ++group) {
    const unsigned votes = __ballot_sync(all_lanes, touched >> group & 1);
    if (group == own) mine = votes;
  }
  return mine;
}

// ---- what a thread does to its pixel ---------------------------------------------------------------

template <typename T>
struct Nearest {
  T depth;
  int32_t face;  // index in its mesh
  T color[3];
};

template <typename T>
struct Pixel {
  T x, y;  // NDC
  T opacity, greatest;  // see combine_face
  Softmax<T> sum;
  Nearest<T> nearest;
};

template <Color mode, bool every_mode, typename T>
__device__ Pixel<T> clear_pixel(const Parameters<T>& p, int column, int row) {
  Pixel<T> pixel = {center_x(p, column), center_y(p, row), clear_opacity<every_mode>(p), T(-1), {}, {}};
  if (mode == Color::softmax) pixel.sum = clear_softmax(scaled_exponential(p.background_logit));
  if (mode == Color::hard) pixel.nearest = {Limits<T>::largest, -1, {T(0), T(0), T(0)}};
  return pixel;
}

// The colour of a face at a pixel; `corners` are staged, texels are looked up.
template <bool every_mode, typename T>
__device__ void color_at(const Forward<T>& f, const T* corners, int64_t face, const Surface<T>& s, T out[3]) {
  const Parameters<T>& p = f.parameters;
  if (every_mode && p.texture == Texture::surface) {
    const int texel = texel_at(s.mixing[0], s.mixing[1], s.mixing[2], p.texture_side);
    const T* from = f.face_textures + face * texture_numbers(p) + 3 * texel;
    for (int k = 0; k < 3; ++k) out[k] = from[k];
    return;
  }
  VertexTexture<T, T> texture;
  for (int i = 0; i < 9; ++i) texture.corner[i] = corners[i];
  texture.color(s, out);
}

// `index` is that of the face in its mesh, which begins at first_face.
template <Color mode, bool every_mode, typename T>
__device__ void draw(const Forward<T>& f, const Outline<T>& face, const T* corners, int64_t first_face, int32_t index,
                     Pixel<T>& pixel) {
  const Parameters<T>& p = f.parameters;
  Coverage<T> c = cover<every_mode>(face, p, pixel.x, pixel.y);
  if (!c.support) return;
  attenuate<every_mode>(c, p);
  combine_face<every_mode>(pixel.opacity, &pixel.greatest, opacity_of<every_mode>(c, p), index, p);
  if constexpr (mode != Color::none) {
    const Surface<T> s = mixed_surface_at<every_mode>(face, p, c);
    if (!visible_at(face, c, s, p)) return;
    T color[3];
    if constexpr (mode == Color::softmax) {
      color_at<every_mode>(f, corners, first_face + index, s, color);
      accumulate(pixel.sum, softmax_weight<every_mode>(c, s, p), color);
    } else {
      Nearest<T>& nearest = pixel.nearest;
      if (!within(c.weight) || !yields_to(nearest.depth, nearest.face, s.depth, index)) return;
      nearest.depth = s.depth;
      nearest.face = index;
      color_at<every_mode>(f, corners, first_face + index, s, nearest.color);
    }
  }
}

// ---- the end ---------------------------------------------------------------------------------------

template <typename T>
__device__ T background_at(const Forward<T>& f, int64_t image, int channel, int64_t pixel) {
  const Parameters<T>& p = f.parameters;
  return f.background[p.background_image ? (3 * image + channel) * p.height * p.width + pixel : int64_t(channel)];
}

template <Color mode, typename T>
__device__ void write_color(const Forward<T>& f, const Pixel<T>& done, int64_t image, int64_t plane, int64_t pixel) {
  T* out = f.image + 4 * image * plane + pixel;
  if constexpr (mode == Color::softmax) {
    const Softmax<T>& sum = done.sum;
    const T scale = T(1) / sum.partition;
    const T share = share_of(scaled_exponential(f.parameters.background_logit), sum.exponent, scale);
    f.peak[image * plane + pixel] = sum.exponent;
    f.partition[image * plane + pixel] = sum.partition;
    for (int k = 0; k < 3; ++k) out[k * plane] = sum.color[k] * scale + share * background_at(f, image, k, pixel);
  } else {
    const bool none = done.nearest.face < 0;
    f.nearest_face[image * plane + pixel] = done.nearest.face;
    for (int k = 0; k < 3; ++k) {
      out[k * plane] = none ? background_at(f, image, k, pixel) : done.nearest.color[k];
    }
  }
}

template <Color mode, bool every_mode, typename T>
__device__ void write(const Forward<T>& f, const Pixel<T>& done, int64_t image, int column, int row) {
  const Parameters<T>& p = f.parameters;
  const int64_t plane = int64_t(p.height) * p.width, pixel = int64_t(row) * p.width + column;
  const int64_t alpha = (mode == Color::none ? image : 4 * image + 3) * plane + pixel;
  f.image[alpha] = alpha_of<every_mode>(done.opacity, mesh_faces(p, image), p);
  const bool index = every_mode && p.alpha == Alpha::maximum;
  if (f.transmittance) f.transmittance[image * plane + pixel] = index ? done.greatest : done.opacity;
  if constexpr (mode != Color::none) write_color<mode>(f, done, image, plane, pixel);
}

// ---- parts of a crowded tile -----------------------------------------------------------------------

// What the faces of a part make of a pixel: read and written at once.
template <typename T>
struct alignas(16) PartState {
  T opacity, greatest;
  T color[3];   // their sum over 2^exponent (softmax), or that of the nearest face (hard)
  T exponent;   // of the partition (softmax), or the depth of the nearest face (hard)
  T partition;  // without the background
  typename IntegerLike<T>::type face;  // the nearest
};

// What a block draws: of the faces of the bin those at the places [begin, end), in a tile.
struct Work {
  unsigned tile;
  int64_t begin, end;
  int64_t slot;  // of a part, else -1
  bool some;     // else there is nothing to do
};

constexpr int64_t to_the_end = INT64_MAX;

// The first blocks take the parts, which are long, and the others tiles.
__device__ Work work_of_block(const Cuts& cuts) {
  const int64_t slot = blockIdx.x;
  if (slot >= cuts.slots) {
    const unsigned tile = unsigned(slot - cuts.slots);
    return {tile, 0, to_the_end, -1, cuts.tiles[tile].parts == 0};
  }
  const TilePart part = cuts.parts[slot];
  const bool last = part.part + 1 >= part.parts;
  return {part.tile, part.begin, last ? to_the_end : cuts.parts[slot + 1].begin, slot, part.parts > 0};
}

template <Color mode, typename T>
__device__ PartState<T> state_of(const Pixel<T>& pixel) {
  PartState<T> state = {pixel.opacity, pixel.greatest, {}, T(0), T(0), -1};
  for (int k = 0; k < 3; ++k) state.color[k] = mode == Color::softmax ? pixel.sum.color[k] : pixel.nearest.color[k];
  state.exponent = mode == Color::softmax ? pixel.sum.exponent : pixel.nearest.depth;
  state.partition = pixel.sum.partition;
  state.face = pixel.nearest.face;
  return state;
}

// Join two sums of different faces into the first. The exponents of both are at least that of the background.
template <typename T>
__device__ void join_softmax(Softmax<T>& sum, const Softmax<T>& other) {
  const T exponent = maximum(sum.exponent, other.exponent);
  const T shrink = power_of_two(sum.exponent - exponent), other_shrink = power_of_two(other.exponent - exponent);
  sum.exponent = exponent;
  sum.partition = sum.partition * shrink + other.partition * other_shrink;
  for (int k = 0; k < 3; ++k) sum.color[k] = sum.color[k] * shrink + other.color[k] * other_shrink;
}

// Add to a pixel what the next faces make of it, which have higher indices than those before.
template <Color mode, bool every_mode, typename T>
__device__ void add_part(Pixel<T>& pixel, const PartState<T>& part, const Parameters<T>& p) {
  if (every_mode && part.opacity > pixel.opacity) pixel.greatest = part.greatest;
  pixel.opacity = combine_opacity<every_mode>(pixel.opacity, part.opacity, p);
  if constexpr (mode == Color::softmax) {
    join_softmax(pixel.sum, Softmax<T>{part.exponent, part.partition, {part.color[0], part.color[1], part.color[2]}});
  }
  if constexpr (mode == Color::hard) {
    const int32_t face = int32_t(part.face);
    if (face < 0 || !yields_to(pixel.nearest.depth, pixel.nearest.face, part.exponent, face)) return;
    pixel.nearest = {part.exponent, face, {part.color[0], part.color[1], part.color[2]}};
  }
}

// A thread adds up the parts of its pixel, in their order.
template <Color mode, bool every_mode, typename T>
__global__ void __launch_bounds__(block_size) join_kernel(Forward<T> f, Cuts cuts, const PartState<T>* states) {
  const Parameters<T>& p = f.parameters;
  const CutTile cut = cuts.tiles[blockIdx.x];
  if (cut.parts == 0) return;
  const Tile tile = tile_at(p.height, p.width, blockIdx.x);
  const Place place = place_of_thread(tile, threadIdx.x / warp_size, threadIdx.x % warp_size);
  if (place.column >= p.width || place.row >= p.height) return;
  Pixel<T> pixel = clear_pixel<mode, every_mode>(p, place.column, place.row);
  for (uint32_t i = 0; i < cut.parts; ++i) {
    const PartState<T> part = states[(cut.slot + i) * block_size + threadIdx.x];
    add_part<mode, every_mode>(pixel, part, p);
  }
  write<mode, every_mode>(f, pixel, tile.image, place.column, place.row);
}

// ---- the kernel ------------------------------------------------------------------------------------

// Blocks on a multiprocessor at once that the compiler saves registers for: the most without spilling.
template <bool every_mode, typename T>
constexpr int least_blocks = sizeof(T) == 8 ? 8 : every_mode ? 14 : 16;

// `with_parts` is false where no tile can be cut.
template <Color mode, bool every_mode, bool with_parts, typename T>
__global__ void __launch_bounds__(block_size, least_blocks<every_mode, T>)
    render_kernel(Forward<T> f, Faces<T> all, Bins bins, Cuts cuts, PartState<T>* states) {
  __shared__ Queue queue;
  __shared__ Staged<mode, T> staged;
  const Parameters<T>& p = f.parameters;
  const Work work = with_parts ? work_of_block(cuts) : Work{blockIdx.x, 0, to_the_end, -1, true};
  if (!work.some) return;  // the whole block
  const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  const Tile tile = tile_at(p.height, p.width, work.tile);
  const Place place = place_of_thread(tile, warp, lane);
  Pixel<T> pixel = clear_pixel<mode, every_mode>(p, place.column, place.row);
  if (work.slot >= 0) pixel.sum.partition = T(0);

  const int64_t first_face = first_face_of(p, tile.image);
  BinFaces faces = faces_at(bins, tile.image, tile.column, tile.row);
  if (work.end < faces.count) faces.count = work.end;
  for (int64_t next = work.begin; next < faces.count;) {
    const int queued = fill_queue(faces, next, all.boxes + first_face, tile, queue);
    for (int first = 0; first < queued; first += staged_faces) {
      const int count = queued - first < staged_faces ? queued - first : staged_faces;
      stage(f, all.slots, first_face, queue.face + first, count, staged);
      __syncthreads();
      const unsigned touched = lane < count ? queue.touched[first + lane] >> warp * groups & ((1u << groups) - 1) : 0;
      unsigned mine = faces_of_group<every_mode>(staged.slots[lane].face, touched, p, pixel.x, pixel.y);
      for (; mine; mine &= mine - 1) {
        const int i = __ffs(int(mine)) - 1;
        const T* corners = staged.corners + (mode == Color::none ? 0 : 9 * i);
        draw<mode, every_mode>(f, staged.slots[i].face, corners, first_face, queue.face[first + i], pixel);
      }
      __syncthreads();
    }
  }
  if (work.slot >= 0) {
    states[work.slot * block_size + threadIdx.x] = state_of<mode>(pixel);
  } else if (place.column < p.width && place.row < p.height) {
    write<mode, every_mode>(f, pixel, tile.image, place.column, place.row);
  }
}

// ---- memory and launches ---------------------------------------------------------------------------

// The buffers of tiles that are cut.
template <typename T>
struct CutScratch {
  int64_t* counts;       // [B * levels + B] totals of Levels, then cursors of Cuts, then its parts: cleared together
  CutTile* tiles;        // [tiles]
  PartState<T>* states;  // [slots, tile_threads]
};

constexpr int64_t part_counts = sizeof(TilePart) / sizeof(int64_t);

int64_t count_cut_counts(const Meshes& m, const Cuts& cuts) {
  return count_totals(m, cuts.levels) + m.images + cuts.slots * part_counts;
}

template <typename T>
CutScratch<T> take_cut_scratch(const Parameters<T>& p, const Cuts& cuts, ScratchMemory& memory) {
  const bool cut = cuts.slots > 0;
  return {memory.take<int64_t>("counts of parts", cut ? count_cut_counts(p, cuts) : 0),
          memory.take<CutTile>("tiles", cut ? count_tiles(p, p.height, p.width) : 0),
          memory.take<PartState<T>>("states", cuts.slots * tile_threads)};
}

// Give planned cuts their memory, of which what is added to is cleared.
template <typename T>
void place_cuts(const Meshes& m, const CutScratch<T>& s, Cuts& cuts, cudaStream_t stream) {
  if (cuts.slots == 0) return;
  cudaMemsetAsync(s.counts, 0, std::size_t(count_cut_counts(m, cuts)) * sizeof(int64_t), stream);
  cuts.levels.totals = s.counts;
  cuts.cursor = s.counts + count_totals(m, cuts.levels);
  cuts.parts = reinterpret_cast<TilePart*>(cuts.cursor + m.images);
  cuts.tiles = s.tiles;
}

template <typename T>
const char* queue_render(const Forward<T>& f, Faces<T> faces, const Bins& bins, const Cuts& cuts, PartState<T>* states,
                         cudaStream_t stream) {
  const Parameters<T>& p = f.parameters;
  const int64_t tiles = count_tiles(p, p.height, p.width), blocks = tiles + cuts.slots;
  if (blocks > most_blocks) return "too many pixels in one batch for one launch";
  with_modes<T>(p, [&](auto color, auto every_mode) {
    constexpr Color mode = color.value;
    constexpr bool every = every_mode.value;
    if (cuts.slots == 0) {
      render_kernel<mode, every, false, T><<<unsigned(blocks), block_size, 0, stream>>>(f, faces, bins, cuts, states);
      return;
    }
    render_kernel<mode, every, true, T><<<unsigned(blocks), block_size, 0, stream>>>(f, faces, bins, cuts, states);
    join_kernel<mode, every, T><<<unsigned(tiles), block_size, 0, stream>>>(f, cuts, states);
  });
  return last_error();
}

}  // namespace

template <typename T>
int64_t scratch_bytes(const Forward<T>& f) {
  const Parameters<T>& p = f.parameters;
  ScratchBlock measure;
  take_bin_scratch<T>(p, plan_bins(p), measure);
  take_cut_scratch(p, plan_cuts(p), measure);
  return measure.bytes();
}

template <typename T>
const char* launch(const Forward<T>& call, ScratchMemory& memory, void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  Forward<T> f = call;
  Parameters<T>& p = f.parameters;
  if (p.images == 0) return nullptr;
  if (p.height > most_side || p.width > most_side) return "an image has a side of more than 65535 pixels";
  Bins bins = plan_bins(p);
  Cuts cuts = plan_cuts(p);
  const BinScratch<T> s = take_bin_scratch<T>(p, bins, memory);
  const CutScratch<T> c = take_cut_scratch(p, cuts, memory);
  p.first_face = bring_offsets(p, s.first_face, stream);
  place_bins(p, s, bins, stream);
  place_cuts(p, c, cuts, stream);
  const BinNeed need = {bins.shift};
  const char* error = setup_faces(f.face_vertices, f.face_textures, p, need, bins.levels, s.faces, stream);
  if (!error && bins.levels.count > 0) error = sort_into_bins(bins, s.faces.boxes, stream);
  if (!error) error = queue_cuts(bins, s.faces.boxes, cuts, stream);
  return error ? error : queue_render(f, s.faces, bins, cuts, c.states, stream);
}

template int64_t scratch_bytes(const Forward<float>&);
template int64_t scratch_bytes(const Forward<double>&);
template const char* launch(const Forward<float>&, ScratchMemory&, void*);
template const char* launch(const Forward<double>&, ScratchMemory&, void*);

}  // namespace renderer
