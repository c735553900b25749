// The forward on the GPU: a block renders a tile of pixels from the faces of a bin, a thread owns a pixel.
//
// Deterministic: every pixel meets its faces in ascending order. Faces pass four sieves before a thread
// evaluates them: the list of the bin, the tile of the block, and the box and the edges of the face against
// the 4 x 2 pixels of eight lanes, which go through the faces they share on their own.
#include "rasterize_cuda.h"
#include "rasterize_cuda_faces.h"
#include "shading.h"

namespace renderer {
namespace {

constexpr int tile_side = 8, block_size = tile_side * tile_side;  // pixels, one thread each
constexpr int warps = block_size / warp_size;                     // 8 x 4 pixels each, one below the other
constexpr int warp_rows = tile_side / warps;
constexpr int group_columns = 4, group_rows = 2, group_lanes = group_columns * group_rows;  // of a group of lanes
constexpr int groups = warp_size / group_lanes;                   // of a warp: two rows of two

struct Tile {
  int64_t image;
  int column, row;  // of its first pixel
};

HOST_DEVICE int tiles_across(int side) { return divide_up(side, tile_side); }

template <typename T>
__device__ Tile tile_at(const Parameters<T>& p, unsigned index) {
  const unsigned columns = tiles_across(p.width), tiles = columns * tiles_across(p.height), tile = index % tiles;
  return {index / tiles, int(tile % columns) * tile_side, int(tile / columns) * tile_side};
}

// Where the pixel of a lane lies among those of its warp.
struct LanePlace {
  int column, row;
};

__device__ LanePlace place_of_lane(int lane) {
  const int group = lane / group_lanes, rest = lane % group_lanes;
  return {group % 2 * group_columns + rest % group_columns, group / 2 * group_rows + rest / group_columns};
}

// ---- the faces of a tile ---------------------------------------------------------------------------

constexpr int staged_faces = warp_size;      // drawn together: one vote of a warp finds its faces
constexpr int queue_goal = 2 * staged_faces;
constexpr int queue_size = queue_goal - 1 + block_size;

// Faces that touch the tile, in ascending order, and which of its groups of lanes their boxes touch: one bit each,
// those of the first warp first.
struct Queue {
  int32_t face[queue_size];
  uint8_t touched[queue_size];
  int counts[2][warps];  // of a round; the next round has another place, so that one barrier is enough
};

__device__ unsigned touched_groups(Box box, Tile tile) {
  const int first_column = box.first_column - tile.column, end_column = box.end_column - tile.column;
  const int first_row = box.first_row - tile.row, end_row = box.end_row - tile.row;
  if (first_column >= tile_side || end_column <= 0 || first_row >= tile_side || end_row <= 0) return 0;
  const unsigned columns = unsigned(first_column < group_columns) | unsigned(end_column > group_columns) << 1;
  unsigned touched = 0;
  for (int i = 0; i < tile_side / group_rows; ++i) {
    const int row = i * group_rows;
    if (first_row < row + group_rows && end_row > row) touched |= columns << 2 * i;
  }
  return touched;
}

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
    const LanePlace place = place_of_lane(lane);
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
    Surface<T> s = surface_at(face, c);
    correct_perspective<every_mode>(face, p, s);
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

// ---- the kernel ------------------------------------------------------------------------------------

// Blocks on a multiprocessor at once that the compiler saves registers for: the most without spilling.
template <bool every_mode, typename T>
constexpr int least_blocks = sizeof(T) == 8 ? 8 : every_mode ? 14 : 16;

template <Color mode, bool every_mode, typename T>
__global__ void __launch_bounds__(block_size, least_blocks<every_mode, T>)
    render_kernel(Forward<T> f, Faces<T> all, Bins bins) {
  __shared__ Queue queue;
  __shared__ Staged<mode, T> staged;
  const Parameters<T>& p = f.parameters;
  const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  const Tile tile = tile_at(p, blockIdx.x);
  const LanePlace place = place_of_lane(lane);
  const int column = tile.column + place.column, row = tile.row + warp * warp_rows + place.row;
  Pixel<T> pixel = clear_pixel<mode, every_mode>(p, column, row);

  const int64_t first_face = first_face_of(p, tile.image);
  const BinFaces faces = faces_at(bins, tile.image, tile.column, tile.row);
  for (int64_t next = 0; next < faces.count;) {
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
  if (column < p.width && row < p.height) write<mode, every_mode>(f, pixel, tile.image, column, row);
}

// ---- memory and launches ---------------------------------------------------------------------------

template <typename T>
const char* queue_render(const Forward<T>& f, Faces<T> faces, const Bins& bins, cudaStream_t stream) {
  const Parameters<T>& p = f.parameters;
  const int64_t blocks = p.images * tiles_across(p.width) * tiles_across(p.height);
  if (blocks > most_blocks) return "too many pixels in one batch for one launch";
  with_modes<T>(p, [&](auto color, auto every_mode) {
    render_kernel<color.value, every_mode.value, T><<<unsigned(blocks), block_size, 0, stream>>>(f, faces, bins);
  });
  return last_error();
}

}  // namespace

template <typename T>
int64_t scratch_bytes(const Forward<T>& f) {
  ScratchBlock measure;
  take_bin_scratch<T>(f.parameters, plan_bins(f.parameters), measure);
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
  const BinScratch<T> s = take_bin_scratch<T>(p, bins, memory);
  p.first_face = bring_offsets(p, s.first_face, stream);
  place_bins(p, s, bins, stream);
  const BinNeed need = {bins.shift};
  const char* error = setup_faces(f.face_vertices, f.face_textures, p, need, bins.levels, s.faces, stream);
  if (!error && bins.levels.count > 0) error = sort_into_bins(bins, s.faces.boxes, stream);
  return error ? error : queue_render(f, s.faces, bins, stream);
}

template int64_t scratch_bytes(const Forward<float>&);
template int64_t scratch_bytes(const Forward<double>&);
template const char* launch(const Forward<float>&, ScratchMemory&, void*);
template const char* launch(const Forward<double>&, ScratchMemory&, void*);

}  // namespace renderer
