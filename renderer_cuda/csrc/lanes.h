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
#include "sides.h"

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

template <typename T>
HOST_DEVICE void store_lanes(IntVector<T> vector, Int<T> (&out)[lanes<T>]) {
  __builtin_memcpy(out, &vector, sizeof(vector));
}

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

// The pixels of the faces in the lanes inside of a tile; half open, and empty where there are none.
template <typename T>
struct Boxes {
  IntVector<T> first_column, end_column, first_row, end_row;
};

template <typename T>
HOST_DEVICE Boxes<T> clip(const FacePack<T>& faces, Tile tile) {
  const auto cut = [](IntVector<T> a, int low, int high) {
    a = a < Int<T>(low) ? broadcast<T>(low) : a;
    return a > Int<T>(high) ? broadcast<T>(high) : a;
  };
  return {cut(faces.first_column, tile.first_column, tile.end_column),
          cut(faces.end_column, tile.first_column, tile.end_column),
          cut(faces.first_row, tile.first_row, tile.end_row), cut(faces.end_row, tile.first_row, tile.end_row)};
}

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

template <typename T>
HOST_DEVICE IntVector<T> whole(Real<T> a) { return __builtin_convertvector(a.v, IntVector<T>); }
template <typename T>
HOST_DEVICE Real<T> real(IntVector<T> a) { return Real<T>(__builtin_convertvector(a, typename Real<T>::Vector)); }

// How many pixels are walked over of the faces in the lanes, see small_faces.h, in rows [first_row, end_row): one at least in
// each row.
template <typename T>
HOST_DEVICE Real<T> count_walked(const Sides<Real<T>>& sides, const Columns<Real<T>>& columns, Real<T> first_row,
                                 Real<T> end_row, const Parameters<T>& p) {
  const Real<T> zero(T(0)), one(T(1));
  Real<T> walked = zero;
  for (Real<T> row = first_row; any(row < end_row); row += one) {
    const Span<Real<T>> span = span_of(sides, columns, Real<T>(T(p.height - 1)) - Real<T>(T(2)) * row);
    const Real<T> count = maximum(count_columns(span, truncate(span.first)), one);
    walked += select(row < end_row, count, zero);
  }
  return walked;
}

// How large the faces in the lanes are.
template <typename T>
struct Sizes {
  IntVector<T> box;   // pixels of the box
  IntVector<T> keys;  // see KeyClasses

  HOST_DEVICE Sizes(const Prepared<Real<T>>& f, const Parameters<T>& p) {
    const Real<T> zero(T(0)), most(T(1 << 28));
    const Real<T> rows = maximum(f.end_row - f.first_row, zero);
    const Real<T> pixels = minimum(maximum(f.end_column - f.first_column, zero) * rows, most);
    const Mask<T> small = pixels <= Real<T>(T(small_pixels));
    const Columns<Real<T>> columns = {f.first_column, f.end_column - Real<T>(T(1))};
    const Real<T> end_row = select(small, f.end_row, f.first_row);
    const Real<T> walked = count_walked(sides_of(f.outline, p), columns, f.first_row, end_row, p);
    box = whole<T>(pixels);
    keys = 2 * whole<T>(select(small, walked, pixels)) - (f.outline.inverse_area >= zero).v;
  }
};

// The nine numbers of each of several faces, a pack for each number.
template <typename T>
HOST_DEVICE void load_positions(const T* const (&faces)[lanes<T>], Real<T> (&corners)[9]) {
  static_assert(8 % columns<T> == 0);
  for (int first = 0; first < 8; first += columns<T>) {
    load_columns<T, lanes<T>>([&](int lane) { return faces[lane] + first; }, corners + first);
  }
  for (int i = 0; i < lanes<T>; ++i) corners[8].v[i] = faces[i][8];
}

// The same as are_finite, several numbers at a time.
template <typename T>
HOST_DEVICE bool are_packs_finite(const T* numbers, int count) {
  using P = Pack<T, columns<T>>;
  typename Traits<P>::Mask odd = {typename P::IntVector{}};
  int done = 0;
  for (; done + columns<T> <= count; done += columns<T>) odd.v |= ~is_finite(P::load(numbers + done)).v;
  return are_finite(numbers + done, count - done) && !any(odd);
}

// Which of the faces in the lanes have colours that are finite: all of them without textures. The lanes from `count`
// on have no face.
template <typename T>
HOST_DEVICE Mask<T> colored_lanes(const Textures<const T>& textures, const int32_t (&face)[lanes<T>], int count) {
  IntVector<T> colored = broadcast<T>(-1);
  for (int lane = 0; textures.data && lane < count; ++lane) {
    colored[lane] = -Int<T>(are_packs_finite(textures.of(face[lane]), textures.numbers));
  }
  return {colored};
}

// Prepare `count` faces and the keys that sort them; `textures` are those of these faces. Returns how large they are.
template <typename T>
HOST_DEVICE FaceSizes setup_faces(const T* face_vertices, const Textures<const T>& textures, int64_t count,
                                  const Parameters<T>& p, Face<T>* out, int32_t* keys) {
  constexpr int width = lanes<T>;
  const T zeros[9] = {};  // not drawable
  const IntVector<T> most = broadcast<T>(FaceSizes::most_pixels);
  IntVector<T> faces = {}, pixels = {};
  for (int64_t f = 0; f < count; f += width, face_vertices += 9 * width, out += width, keys += width) {
    const int some = count - f < width ? int(count - f) : width;
    const T* each[width];
    for (int i = 0; i < width; ++i) each[i] = i < some ? face_vertices + 9 * i : zeros;
    Real<T> corners[9];
    load_positions(each, corners);
    int32_t index[width];
    for (int i = 0; i < width; ++i) index[i] = int32_t(f) + i;
    const Prepared<Real<T>> prepared = prepare<Real<T>>(corners, colored_lanes<T>(textures, index, some), p);
    store_faces(prepared, some, out);
    const Sizes<T> sizes(prepared, p);
    faces -= sizes.box > Int<T>(0);
    pixels += sizes.box < most ? sizes.box : most;
    for (int i = 0; i < some; ++i) keys[i] = int32_t(sizes.keys[i]);
  }
  FaceSizes sum = {0, 0};
  for (int i = 0; i < width; ++i) sum.add({int64_t(faces[i]), int64_t(pixels[i])});
  return sum;
}

// The NDC positions of the pixels (row, column) and those to the right of it.
template <typename T>
HOST_DEVICE Real<T> centers_x(const Parameters<T>& p, int column) {
  const Real<T> first(T(2 * column + 1 - p.width)), offsets = lane_numbers<Real<T>>() * Real<T>(T(2));
  return product(first + offsets, Real<T>(p.inverse_shorter));
}

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

// ---- some of the faces -----------------------------------------------------------------------------

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
