// How the CPU fills the lanes of a pack: with one pixel of each of several small faces, which are
// sorted by size so that they end together, or with neighbouring pixels of one large face.
//
// Included by files compiled once for each instruction set: all is in an anonymous namespace and
// nothing of the standard library is instantiated, so that no function made for a newer processor can
// be linked into code for an older one.
#pragma once

#include "fragment.h"
#include "modes.h"
#include "pack_elementary.h"
#include "rasterize_cpu.h"

namespace renderer {
namespace {

// Files whose lanes hold neighbouring pixels of one face define RENDERER_NARROW_PACKS: few faces are 16 pixels wide.
#if defined(__AVX512F__) && !defined(RENDERER_NARROW_PACKS)
template <typename T> constexpr int lanes = sizeof(T) == 4 ? 16 : 4;
#else
template <typename T> constexpr int lanes = sizeof(T) == 4 ? 8 : 4;
#endif
// The numbers that are transposed together.
template <typename T> constexpr int columns = columns_of<lanes<T>>;
template <typename T> using Real = Pack<T, lanes<T>>;
template <typename T> using Int = typename Real<T>::Int;
template <typename T> using IntVector = typename Real<T>::IntVector;
template <typename T> using Mask = PackMask<T, lanes<T>>;

template <typename T>
HOST_DEVICE IntVector<T> broadcast(Int<T> value) { return value - IntVector<T>{}; }

template <typename P>
HOST_DEVICE P lane_numbers() {
  P numbers;
  for (int i = 0; i < Traits<P>::lanes; ++i) numbers.v[i] = typename Traits<P>::Scalar(i);
  return numbers;
}

// ---- textures --------------------------------------------------------------------------------------

// The textures of some faces, or their gradients; null for silhouettes.
template <typename T>
struct Textures {
  T* data;
  int numbers;  // of a face: 9 or 3 R^2
  HOST_DEVICE T* of(int64_t face) const { return data + face * numbers; }
};

template <typename T>
HOST_DEVICE Textures<const T> textures_from(const T* face_textures, int64_t first_face, const Parameters<T>& p) {
  if (!face_textures) return {nullptr, 0};
  const int numbers = texture_numbers(p);
  return {face_textures + first_face * numbers, numbers};
}

// ---- faces in lanes --------------------------------------------------------------------------------

// Several faces at once and the pixels of each, half open.
template <typename T>
struct FacePack : Outline<Real<T>> {
  IntVector<T> first_column, end_column, first_row, end_row;
  Real<T> most_exponent;
};

constexpr int face_numbers = 24;

template <typename T>
HOST_DEVICE void load_faces(const Face<T>* const (&faces)[lanes<T>], FacePack<T>& pack) {
  static_assert(sizeof(Face<T>) == face_numbers * sizeof(T) && face_numbers % columns<T> == 0);
  Real<T> numbers[face_numbers];
  for (int first = 0; first < face_numbers; first += columns<T>) {
    load_columns<T, lanes<T>>([&](int lane) { return reinterpret_cast<const T*>(faces[lane]) + first; }, numbers + first);
  }
  for (int k = 0; k < 3; ++k) {
    pack.x[k] = numbers[k];
    pack.y[k] = numbers[3 + k];
    pack.edge_x[k] = numbers[6 + k];
    pack.edge_y[k] = numbers[9 + k];
    pack.inverse_length[k] = numbers[12 + k];
    pack.inverse_depth[k] = numbers[15 + k];
  }
  pack.inverse_area = numbers[18];
  pack.first_column = (IntVector<T>)numbers[19].v;
  pack.end_column = (IntVector<T>)numbers[20].v;
  pack.first_row = (IntVector<T>)numbers[21].v;
  pack.end_row = (IntVector<T>)numbers[22].v;
  pack.most_exponent = numbers[23];
}

// Write what `prepare` computed of `count` faces.
template <typename T>
HOST_DEVICE void store_faces(const Prepared<Real<T>>& f, int count, Face<T>* out) {
  Real<T> numbers[face_numbers];
  const auto integers = [](Real<T> whole) {
    return Real<T>((typename Real<T>::Vector)__builtin_convertvector(whole.v, IntVector<T>));
  };
  for (int k = 0; k < 3; ++k) {
    numbers[k] = f.outline.x[k];
    numbers[3 + k] = f.outline.y[k];
    numbers[6 + k] = f.outline.edge_x[k];
    numbers[9 + k] = f.outline.edge_y[k];
    numbers[12 + k] = f.outline.inverse_length[k];
    numbers[15 + k] = f.outline.inverse_depth[k];
  }
  numbers[18] = f.outline.inverse_area;
  numbers[19] = integers(f.first_column);
  numbers[20] = integers(f.end_column);
  numbers[21] = integers(f.first_row);
  numbers[22] = integers(f.end_row);
  numbers[23] = f.most_exponent;
  for (int first = 0; first < face_numbers; first += columns<T>) {
    Real<T> some[columns<T>];
    for (int i = 0; i < columns<T>; ++i) some[i] = numbers[first + i];
    store_columns<T, lanes<T>>(some, count, [&](int lane) { return reinterpret_cast<T*>(out + lane) + first; });
  }
}

// Count the faces that have pixels; in numbers of T, which hold what a pack has.
template <typename T, int N>
HOST_DEVICE void add_sizes(const Prepared<Pack<T, N>>& f, FaceSizes& sizes) {
  using P = Pack<T, N>;
  const P zero(T(0)), one(T(1));
  const P columns = maximum(f.end_column - f.first_column, zero), rows = maximum(f.end_row - f.first_row, zero);
  const P pixels = minimum(columns * rows, P(T(FaceSizes::most_pixels)));
  sizes.faces += int64_t(lane_sum(minimum(pixels, one)));
  sizes.pixels += int64_t(lane_sum(pixels));
}

// The nine numbers of each of several faces, a pack for each number.
template <typename T>
HOST_DEVICE void load_positions(const T* const (&faces)[lanes<T>], Real<T> (&corners)[9]) {
  static_assert(8 % columns<T> == 0);
  for (int first = 0; first < 8; first += columns<T>) {
    load_columns<T, lanes<T>>([&](int lane) { return faces[lane] + first; }, corners + first);
  }
  for (int i = 0; i < lanes<T>; ++i) corners[8].v[i] = faces[i][8];
}

// Which of the faces in the lanes have colours that are finite: all of them without textures. The lanes from `count`
// on have no face.
template <typename T>
HOST_DEVICE Mask<T> colored_lanes(const Textures<const T>& textures, const int32_t (&face)[lanes<T>], int count) {
  IntVector<T> colored = broadcast<T>(-1);
  for (int lane = 0; textures.data && lane < count; ++lane) {
    colored[lane] = -Int<T>(are_finite(textures.of(face[lane]), textures.numbers));
  }
  return {colored};
}

// Prepare `count` faces; `textures` are those of these faces. Returns how large they are.
template <typename T>
HOST_DEVICE FaceSizes setup_faces(const T* face_vertices, const Textures<const T>& textures, int64_t count,
                             const Parameters<T>& p, Face<T>* out) {
  constexpr int width = lanes<T>;
  const T zeros[9] = {};  // not drawable
  FaceSizes sizes = {0, 0};
  for (int64_t f = 0; f < count; f += width, face_vertices += 9 * width, out += width) {
    const int some = count - f < width ? int(count - f) : width;
    const T* each[width];
    for (int i = 0; i < width; ++i) each[i] = i < some ? face_vertices + 9 * i : zeros;
    Real<T> corners[9];
    load_positions(each, corners);
    int32_t index[width];
    for (int i = 0; i < width; ++i) index[i] = int32_t(f) + i;
    const Prepared<Real<T>> prepared = prepare<Real<T>>(corners, colored_lanes<T>(textures, index, some), p);
    add_sizes(prepared, sizes);
    store_faces(prepared, some, out);
  }
  return sizes;
}

// Each lane walks over the pixels of its own face, row by row. `index` is the number of the pixel in
// rows of `stride` pixels, and 0 for lanes that have come to their end.
template <typename T>
struct Walk {
  Real<T> x, y;  // 2 column + 1 - W and H - 1 - 2 row, see center_x
  Real<T> start_x, end_x, end_y;
  IntVector<T> at, skip;

  HOST_DEVICE Walk(const FacePack<T>& faces, Tile tile, int stride, const Parameters<T>& p) {
    const auto real = [](IntVector<T> whole) {
      return Real<T>(__builtin_convertvector(whole, typename Real<T>::Vector));
    };
    const auto cut = [](IntVector<T> a, int low, int high) {
      a = a < Int<T>(low) ? broadcast<T>(low) : a;
      return a > Int<T>(high) ? broadcast<T>(high) : a;
    };
    const IntVector<T> left = cut(faces.first_column, tile.first_column, tile.end_column);
    const IntVector<T> right = cut(faces.end_column, tile.first_column, tile.end_column);
    const IntVector<T> top = cut(faces.first_row, tile.first_row, tile.end_row);
    const IntVector<T> bottom = cut(faces.end_row, tile.first_row, tile.end_row);
    start_x = x = real(2 * left + Int<T>(1 - p.width));
    end_x = real(2 * right + Int<T>(1 - p.width));
    y = real(Int<T>(p.height - 1) - 2 * top);
    end_y = real(Int<T>(p.height - 1) - 2 * bottom);
    at = (top - Int<T>(tile.first_row)) * Int<T>(stride) + (left - Int<T>(tile.first_column));
    skip = Int<T>(stride) - (right - left);
  }
  HOST_DEVICE Mask<T> active() const { return y > end_y; }
  HOST_DEVICE IntVector<T> index() const { return at & active().v; }
  HOST_DEVICE void next() {
    x += Real<T>(T(2));
    const auto wrap = x >= end_x;
    at += Int<T>(1) + (skip & wrap.v);
    x = select(wrap, start_x, x);
    y = select(wrap, y - Real<T>(T(2)), y);
  }
};

// Pixels of a face that are worked on together: one waits for the results of a long chain of
// operations, and two chains take hardly longer.
constexpr int steps = 2;

template <typename T>
HOST_DEVICE void store_lanes(IntVector<T> vector, Int<T> (&out)[lanes<T>]) {
  __builtin_memcpy(out, &vector, sizeof(vector));
}

// The coverage of the next `steps` pixels of each face, and their numbers.
template <bool every_mode, typename T>
HOST_DEVICE void cover_steps(const FacePack<T>& faces, Walk<T>& walk, const Parameters<T>& p,
                             Coverage<Real<T>> (&c)[steps], Int<T> (&at)[steps][lanes<T>]) {
  const Real<T> scale(p.inverse_shorter);
  for (int i = 0; i < steps; ++i) {
    c[i] = cover<every_mode>(faces, p, product(walk.x, scale), product(walk.y, scale));
    c[i].support = c[i].support & walk.active();
    store_lanes<T>(walk.index(), at[i]);
    walk.next();
  }
  for (int i = 0; i < steps; ++i) attenuate<every_mode>(c[i], p);
}

// The NDC positions of the pixels (row, column) and those to the right of it.
template <typename P, typename T>
HOST_DEVICE P centers_of(const Parameters<T>& p, int column) {
  const P first(T(2 * column + 1 - p.width)), offsets = lane_numbers<P>() * P(T(2));
  return product(first + offsets, P(p.inverse_shorter));
}
template <typename T>
HOST_DEVICE Real<T> centers_x(const Parameters<T>& p, int column) { return centers_of<Real<T>>(p, column); }

// Which of the pixels at the NDC positions x lie before a column.
template <typename T, int N>
HOST_DEVICE PackMask<T, N> before(const Parameters<T>& p, int end_column, Pack<T, N> x) {
  return x < Pack<T, N>(center_x(p, end_column));
}

// ---- colours ---------------------------------------------------------------------------------------

// Colours of corners, each lane from its own face.
template <typename T>
HOST_DEVICE void load_corners(const Textures<const T>& textures, const int32_t (&face)[lanes<T>],
                              VertexTexture<Real<T>, Real<T>>& out) {
  for (int i = 0; i < 9; ++i) {
    for (int lane = 0; lane < lanes<T>; ++lane) out.corner[i].v[lane] = textures.of(face[lane])[i];
  }
}

template <typename T, int N>
HOST_DEVICE int texel_in_lane(const Surface<Pack<T, N>>& s, int lane, int side) {
  return texel_at<T>(s.mixing[0].v[lane], s.mixing[1].v[lane], s.mixing[2].v[lane], side);
}

// Texels on the faces, each lane of its own face; lanes add to the gradient one after the other.
template <typename T>
struct SurfaceTexture {
  Textures<const T> textures;
  Textures<T> gradient;
  const int32_t (&face)[lanes<T>];
  int side;

  HOST_DEVICE int64_t texel(const Surface<Real<T>>& s, int lane) const {
    return textures.numbers * int64_t(face[lane]) + 3 * texel_in_lane(s, lane, side);
  }
  HOST_DEVICE void color(const Surface<Real<T>>& s, Real<T> out[3]) const {
    for (int lane = 0; lane < lanes<T>; ++lane) {
      const T* from = textures.data + texel(s, lane);
      for (int k = 0; k < 3; ++k) out[k].v[lane] = from[k];
    }
  }
  HOST_DEVICE void color_vjp(const Surface<Real<T>>& s, const Real<T> grad_color[3], Real<T>[3]) {
    for (int lane = 0; lane < lanes<T>; ++lane) {
      T* to = gradient.data + texel(s, lane);
      for (int k = 0; k < 3; ++k) to[k] += grad_color[k].v[lane];
    }
  }
};

// ---- faces sorted by size and side -----------------------------------------------------------------

constexpr int sorted_at_once = 4096;

// Indices of faces. Of equal sizes fronts, whose corners run clockwise in the image, come before backs: they hide the
// backs of a closed mesh, most of which then need no colour, and a pack should need it for all of its faces or for none.
// What is drawn is the same in any order, but for rounding; the order does not depend on the mode, so that alpha has the
// same bits with and without colour.
struct Sorted {
  int32_t small[sorted_at_once];  // by number of pixels, then by side
  int32_t large[sorted_at_once];  // as they come
  int small_count, large_count;
  double depths;  // by how many powers of two depth alone tells their weights apart
};

// The pixels of a face inside of a tile.
template <typename T>
HOST_DEVICE Tile clip(const Face<T>& face, Tile tile) {
  Tile out;
  out.first_column = face.first_column > tile.first_column ? int(face.first_column) : tile.first_column;
  out.end_column = face.end_column < tile.end_column ? int(face.end_column) : tile.end_column;
  out.first_row = face.first_row > tile.first_row ? int(face.first_row) : tile.first_row;
  out.end_row = face.end_row < tile.end_row ? int(face.end_row) : tile.end_row;
  return out;
}

// Sort `count` faces (at most sorted_at_once), equals in the order they come; those without a pixel in the tile are
// left out.
template <typename T>
void sort_faces(const Face<T>* faces, const int32_t* list, int32_t first, int count, Tile tile, Sorted& out) {
  constexpr int finest = 64, step = 8;  // one class for each number of pixels, then one for eight
  constexpr int sizes = finest + (small_pixels - finest) / step + 1, classes = 2 * sizes;
  int start[classes + 1] = {};
  uint8_t class_of[sorted_at_once];
  constexpr uint8_t none = 255;
  static_assert(classes <= none);
  T least = Limits<T>::largest, most = -Limits<T>::largest;
  out.large_count = 0;
  for (int i = 0; i < count; ++i) {
    const int32_t index = list ? list[i] : first + i;
    const Face<T>& face = faces[index];
    const Tile part = clip(face, tile);
    const int columns = part.columns(), rows = part.rows();
    class_of[i] = none;
    if (columns <= 0 || rows <= 0) continue;
    least = minimum(least, face.most_exponent);
    most = maximum(most, face.most_exponent);
    if (int64_t(columns) * rows > small_pixels) {
      out.large[out.large_count++] = index;
      continue;
    }
    const int pixels = columns * rows, size = pixels < finest ? pixels : finest + (pixels - finest) / step;
    class_of[i] = uint8_t(2 * size + (face.inverse_area < T(0) ? 0 : 1));
    ++start[class_of[i] + 1];
  }
  out.depths = double(most) - double(least);
  for (int c = 0; c < classes; ++c) start[c + 1] += start[c];
  out.small_count = start[classes];
  for (int i = 0; i < count; ++i) {
    if (class_of[i] != none) out.small[start[class_of[i]]++] = list ? list[i] : first + i;
  }
}

// The first `count` faces of a list, at most as many as there are lanes, and their indices; the other lanes have
// `nothing` and the index of the first.
template <typename T>
HOST_DEVICE void pick(const Face<T>* faces, const int32_t* list, int count, const Face<T>& nothing,
                      const Face<T>* (&picked)[lanes<T>], int32_t (&index)[lanes<T>]) {
  for (int lane = 0; lane < lanes<T>; ++lane) {
    index[lane] = list[lane < count ? lane : 0];
    picked[lane] = lane < count ? faces + index[lane] : &nothing;
  }
}

// A face that has no pixel, to fill lanes with; its numbers are harmless.
template <typename T>
Face<T> no_face(const Parameters<T>& p) {
  const T corners[9] = {0, 0, 1, 1, 0, 1, 0, 1, 1};
  Face<T> face = setup_face(corners, true, p);
  face.first_column = face.end_column = face.first_row = face.end_row = 0;
  return face;
}

}  // namespace
}  // namespace renderer
