// The face seen at each pixel, by the mathematics of the hard renders.
//
// Faces are prepared several at once, near ones first, and then act one after the other on the pixels of their
// boxes, neighbours in a row at once; most of what is hidden is left out before its depth is known. Compiled
// once for each instruction set, with INSTRUCTION_SET naming it; see lanes.h.
#include <cmath>

#define RENDERER_NARROW_PACKS
#include "lanes.h"
#include "visibility_cpu.h"

namespace renderer {
namespace {

// ---- the state of the pixels -----------------------------------------------------------------------

// The pixels of some rows of an image, without gaps: a pack may reach over the end of a row into the next, where it
// changes nothing, and over the end of the last row.
template <typename T>
struct Canvas {
  Rows rows;
  T* depth;       // [rows * W + lanes] of the face seen so far, or beyond the depth of any face
  Int<T>* face;   // [rows * W + lanes] its index, -1 for none
  T* x;           // [W + lanes] NDC positions of the columns
  T* y;           // [rows + lanes] NDC positions of the rows
  T* rest;        // for `near_first`
};

template <typename T>
int64_t canvas_pixels(const Parameters<T>& p, int rows) {
  return int64_t(rows) * p.width + lanes<T>;
}

template <typename T>
Canvas<T> canvas_in(T* scratch, Rows rows, const Parameters<T>& p) {
  static_assert(sizeof(Int<T>) == sizeof(T));
  T* face = scratch + canvas_pixels(p, rows.count());
  T* x = face + canvas_pixels(p, rows.count());
  T* y = x + p.width + lanes<T>;
  return {rows, scratch, reinterpret_cast<Int<T>*>(face), x, y, y + rows.count() + lanes<T>};
}

template <typename T>
int64_t scratch_size(const Parameters<T>& p, int rows, int64_t faces) {
  return 2 * canvas_pixels(p, rows) + p.width + rows + 2 * lanes<T> + 2 * faces;
}

template <typename T>
void clear(const Canvas<T>& canvas, const Parameters<T>& p) {
  const int64_t pixels = canvas_pixels(p, canvas.rows.count());
  // What is nearer than this is not beyond far; nothing is at the largest number.
  const T beyond = minimum(std::nextafter(p.far, Limits<T>::largest), Limits<T>::largest);
  for (int64_t i = 0; i < pixels; ++i) canvas.depth[i] = beyond;
  for (int64_t i = 0; i < pixels; ++i) canvas.face[i] = -1;
  for (int i = 0; i < p.width + lanes<T>; ++i) canvas.x[i] = center_x(p, i);
  for (int i = 0; i < canvas.rows.count() + lanes<T>; ++i) canvas.y[i] = center_y(p, canvas.rows.begin + i);
}

// ---- the order of the faces ------------------------------------------------------------------------

// Whether a face may reach some rows: the box around it, grown by a pixel and by what its numbers are rounded by.
template <typename T>
HOST_DEVICE bool reaches(const T* corners, Rows rows, const Parameters<T>& p) {
  const T low = minimum(corners[1], minimum(corners[4], corners[7]));
  const T high = maximum(corners[1], maximum(corners[4], corners[7]));
  const T slack = T(2) * p.inverse_shorter + T(16) * Limits<T>::epsilon * maximum(absolute(low), absolute(high));
  return low - slack <= center_y(p, rows.begin) && high + slack >= center_y(p, rows.end - 1);
}

// The indices of those of `count` faces which reach the rows, by the depth of their nearest corners, near ones first,
// roughly: what is drawn does not depend on the order, but what is hidden then costs little. `rest` holds two
// numbers a face; `kept` becomes the number of indices.
template <typename T>
const int32_t* near_first(const T* face_vertices, int64_t count, Rows rows, const Parameters<T>& p, T* rest,
                          int64_t& kept) {
  constexpr int classes = 128, left_out = classes;
  T least = p.far, most = p.near;
  for (int64_t f = 0; f < count; ++f) {
    const T* corners = face_vertices + 9 * f;
    const T depth = minimum(corners[2], minimum(corners[5], corners[8]));
    rest[f] = T(-1);
    if (!reaches(corners, rows, p)) continue;
    rest[f] = minimum(maximum(depth, p.near), p.far);  // near for NaN
    least = minimum(rest[f], least);
    most = maximum(rest[f], most);
  }
  int32_t start[classes + 2] = {};
  uint8_t* class_of = reinterpret_cast<uint8_t*>(rest);  // each in the place of a number read before
  const T scale = T(classes - 1) / maximum(most - least, Limits<T>::smallest);
  for (int64_t f = 0; f < count; ++f) {
    const T depth = rest[f];
    class_of[f] = depth < T(0) ? left_out : uint8_t(int32_t(minimum((depth - least) * scale, T(classes - 1))));
    ++start[class_of[f] + 1];
  }
  for (int c = 0; c < classes + 1; ++c) start[c + 1] += start[c];
  kept = start[left_out];
  int32_t* order = reinterpret_cast<int32_t*>(rest + count);
  for (int64_t f = 0; f < count; ++f) order[start[class_of[f]]++] = int32_t(f);
  return order;
}

// ---- prepared faces --------------------------------------------------------------------------------

// The numbers of several faces, a row of lanes for each number.
template <typename T>
struct Bundle {
  T x[3][lanes<T>], y[3][lanes<T>], edge_x[3][lanes<T>], edge_y[3][lanes<T>], inverse_depth[3][lanes<T>];
  T inverse_area[lanes<T>];
  T nearest[lanes<T>];  // no point of the face is nearer
  Int<T> first_column[lanes<T>], end_column[lanes<T>], first_row[lanes<T>], end_row[lanes<T>];
};

template <typename T>
HOST_DEVICE void store_whole(Real<T> number, Int<T> (&out)[lanes<T>]) {
  store_lanes<T>(__builtin_convertvector(number.v, IntVector<T>), out);
}

// Prepare `count` faces, at most as many as there are lanes. Returns a bit for each that may be seen.
template <typename T>
HOST_DEVICE unsigned prepare_bundle(const T* face_vertices, const Textures<const T>& textures, const int32_t* index,
                                    int count, const Parameters<T>& p, Bundle<T>& out) {
  const T zeros[9] = {};  // not drawable
  const T* each[lanes<T>];
  for (int i = 0; i < lanes<T>; ++i) each[i] = i < count ? face_vertices + 9 * int64_t(index[i]) : zeros;
  Real<T> corners[9];
  load_positions(each, corners);
  int32_t face[lanes<T>] = {};
  for (int i = 0; i < count; ++i) face[i] = index[i];
  const Prepared<Real<T>> f = prepare<Real<T>>(corners, colored_lanes<T>(textures, face, count), p);
  for (int k = 0; k < 3; ++k) {
    f.outline.x[k].store(out.x[k]);
    f.outline.y[k].store(out.y[k]);
    f.outline.edge_x[k].store(out.edge_x[k]);
    f.outline.edge_y[k].store(out.edge_y[k]);
    f.outline.inverse_depth[k].store(out.inverse_depth[k]);
  }
  f.outline.inverse_area.store(out.inverse_area);
  nearest_depth<Real<T>>(f.outline).store(out.nearest);
  store_whole<T>(f.first_column, out.first_column);
  store_whole<T>(f.end_column, out.end_column);
  store_whole<T>(f.first_row, out.first_row);
  store_whole<T>(f.end_row, out.end_row);
  auto seen = (f.first_column < f.end_column) & (f.first_row < f.end_row);
  if (!p.double_sided) seen = seen & (f.outline.inverse_area < Real<T>(T(0)));
  return lane_bits(seen);
}

// One face of a bundle, each number in all lanes.
template <typename T>
HOST_DEVICE Outline<Real<T>> spread(const Bundle<T>& bundle, int lane) {
  Outline<Real<T>> face;
  for (int k = 0; k < 3; ++k) {
    face.x[k] = Real<T>(bundle.x[k][lane]);
    face.y[k] = Real<T>(bundle.y[k][lane]);
    face.edge_x[k] = Real<T>(bundle.edge_x[k][lane]);
    face.edge_y[k] = Real<T>(bundle.edge_y[k][lane]);
    face.inverse_depth[k] = Real<T>(bundle.inverse_depth[k][lane]);
  }
  face.inverse_area = Real<T>(bundle.inverse_area[lane]);
  return face;
}

// ---- a face on the pixels --------------------------------------------------------------------------

// Let the face be seen at the pixels from `at` on which are among `candidates`, where it is nearer than what
// has been seen `before`, or as near and comes first.
template <typename T>
HOST_DEVICE void put(const Canvas<T>& canvas, int64_t at, Real<T> depth, Real<T> before, IntVector<T> index,
                     Mask<T> candidates) {
  IntVector<T> seen;
  __builtin_memcpy(&seen, canvas.face + at, sizeof(seen));
  const Mask<T> visible = candidates & yields_to(before, seen, depth, index);
  select(visible, depth, before).store(canvas.depth + at);
  seen = visible.v ? index : seen;
  __builtin_memcpy(canvas.face + at, &seen, sizeof(seen));
}

// Draw face `index`, in this lane of the bundle. A barycentric coordinate is a difference of a number of the row
// and one of the column (`weight_of`): the first are computed for as many rows at once as there are lanes, the
// others for as many columns.
template <typename T>
HOST_DEVICE void draw(const Canvas<T>& canvas, const Bundle<T>& bundle, int lane, Int<T> index,
                      const Parameters<T>& p) {
  const Outline<Real<T>> face = spread(bundle, lane);
  const Real<T> nearest(bundle.nearest[lane]);
  const int end_column = int(bundle.end_column[lane]);
  const int begin = canvas.rows.begin, last = canvas.rows.count();  // rows are counted from the first of the canvas
  const int first_row = bundle.first_row[lane] > begin ? int(bundle.first_row[lane]) - begin : 0;
  const int end_row = int(bundle.end_row[lane]) - begin < last ? int(bundle.end_row[lane]) - begin : last;
  for (int top = first_row; top < end_row; top += lanes<T>) {
    const int end = top + lanes<T> < end_row ? top + lanes<T> : end_row;
    const Real<T> y = Real<T>::load(canvas.y + top);
    T down[3][lanes<T>];
    for (int k = 0; k < 3; ++k) product(face.edge_x[k], y - face.y[k]).store(down[k]);
    for (int column = int(bundle.first_column[lane]); column < end_column; column += lanes<T>) {
      const Real<T> x = Real<T>::load(canvas.x + column);
      const Mask<T> in_box = before(p, end_column, x);
      Real<T> across[3];
      for (int k = 0; k < 3; ++k) across[k] = product(face.edge_y[k], x - face.x[k]);
      for (int row = top; row < end; ++row) {
        const int64_t at = int64_t(row) * p.width + column;
        const Real<T> seen = Real<T>::load(canvas.depth + at);
        Real<T> weight[3];
        for (int k = 0; k < 3; ++k) {
          weight[k == 0 ? 2 : k - 1] = weight_of(Real<T>(down[k][row - top]), across[k], face.inverse_area);
        }
        const Mask<T> candidates = within(weight) & in_box & (nearest < seen);
        if (!any(candidates)) continue;
        const Real<T> depth = surface_of(face, weight).depth;
        put(canvas, at, depth, seen, broadcast<T>(index), candidates & (depth >= Real<T>(p.near)));
      }
    }
  }
}

template <typename T>
void see(const Forward<T>& f, int64_t image, Rows rows, T* scratch) {
  const Parameters<T>& p = f.parameters;
  const Canvas<T> canvas = canvas_in(scratch, rows, p);
  clear(canvas, p);
  const int64_t first_face = first_face_of(p, image);
  const T* face_vertices = f.face_vertices + 9 * first_face;
  const Textures<const T> textures = textures_from(f.face_textures, first_face, p);
  int64_t count;
  const int32_t* order = near_first(face_vertices, mesh_faces(p, image), rows, p, canvas.rest, count);
  Bundle<T> bundle;
  for (int64_t begin = 0; begin < count; begin += lanes<T>) {
    const int some = count - begin < lanes<T> ? int(count - begin) : lanes<T>;
    const int32_t* index = order + begin;
    unsigned left = prepare_bundle(face_vertices, textures, index, some, p, bundle);
    for (; left != 0; left &= left - 1) {
      const int lane = __builtin_ctz(left);
      draw(canvas, bundle, lane, Int<T>(index[lane]), p);
    }
  }
  const int64_t pixels = int64_t(rows.count()) * p.width;
  int32_t* out = f.nearest_face + (image * p.height + rows.begin) * p.width;
  for (int64_t i = 0; i < pixels; ++i) out[i] = int32_t(canvas.face[i]);
}

template <typename T>
constexpr VisibilityKernels<T> kernels = {see<T>, scratch_size<T>};

}  // namespace

const VisibilityKernels<float>& RENDERER_JOIN(float_visibility_, INSTRUCTION_SET)() { return kernels<float>; }
const VisibilityKernels<double>& RENDERER_JOIN(double_visibility_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
