// Layered colours on the CPU: what faces are at pixels, and the gradient that comes back to them.
//
// The lanes of a pack hold neighbouring pixels of a face in the forward and fragments of it in the backward. Compiled once for
// each instruction set, with INSTRUCTION_SET naming it; see lanes.h.
#define RENDERER_NARROW_PACKS
#include "layer_lanes.h"
#include "layers_cpu.h"

namespace renderer {
namespace {

template <typename T>
void setup(const LayersForward<T>& f, int64_t begin, int64_t end, Face<T>* out) {
  for (int64_t face = begin; face < end; ++face) out[face - begin] = setup_layer(f, face);
}

// ---- fragments -------------------------------------------------------------------------------------

// Write the lanes named by `bits`, pixels from `first` on in a row.
template <typename T>
HOST_DEVICE void append(const Layer<Real<T>>& l, Real<T> key, const Real<T> (&color)[3], unsigned bits, uint32_t first,
                        Fragments<T>& out) {
  for (; bits != 0; bits &= bits - 1) {
    const int lane = __builtin_ctz(bits);
    out.pixel[out.count] = first + uint32_t(lane);
    out.layer[out.count] = {key.v[lane],      l.opacity.v[lane], l.through.v[lane],
                              {color[0].v[lane], color[1].v[lane],  color[2].v[lane]}};
    ++out.count;
  }
}

template <typename T>
void collect_face(const LayersForward<T>& f, int64_t index, const Face<T>& face, Tile part, Fragments<T>& out) {
  const LayerParameters<T> p = parameters_of_face(f, index, face);
  const FaceTexture<T> texture = texture_of<T>(f, index, nullptr);
  out.reserve(int64_t(part.columns()) * part.rows());
  for (int y = part.first_row; y < part.end_row; ++y) {
    const Real<T> center(center_y(p, y));
    for (int x = part.first_column; x < part.end_column; x += lanes<T>) {
      const Real<T> centers = centers_x(p, x);
      Layer<Real<T>> l = layer_at(face, p, centers, center);
      const unsigned bits = lane_bits(l.visible & before(p, part.end_column, centers));
      if (bits == 0) continue;
      open_window(l, p);
      Real<T> color[3];
      texture.color(l.s, color);
      append<T>(l, order_key(l, p), color, bits, uint32_t(y) << 16 | uint32_t(x), out);
    }
  }
}

template <typename T>
void collect(const LayersForward<T>& f, int64_t image, const Face<T>* faces, const int32_t* list, int64_t count,
             Tile tile, Fragments<T>& out, int64_t* first) {
  const int64_t first_face = first_face_of(f.parameters, image);
  for (int64_t i = 0; i < count; ++i) {
    first[i] = out.count;
    const int64_t index = list ? list[i] : i;
    const Tile part = clip(faces[index], tile);
    if (part.columns() > 0 && part.rows() > 0) collect_face(f, first_face + index, faces[index], part, out);
  }
  first[count] = out.count;
}

// ---- the gradient of faces -------------------------------------------------------------------------

// The fragments of a run from `begin` on, one in each lane; the last is repeated in lanes beyond the end, which are not
// active.
template <typename T>
struct LoadedFragments {
  Real<T> x, y;  // NDC
  LayerUpstream<Real<T>> upstream;
  Mask<T> active;
};

template <typename T>
HOST_DEVICE LoadedFragments<T> load_fragments(const LayersBackward<T>& b, int64_t image, const FragmentRun<T>& run,
                                              int64_t begin) {
  const LayerParameters<T>& p = b.forward.parameters;
  LoadedFragments<T> out;
  for (int lane = 0; lane < lanes<T>; ++lane) {
    const bool some = begin + lane < run.count;
    const int64_t at = some ? begin + lane : run.count - 1;
    const int row = int(run.pixel[at] >> 16), column = int(run.pixel[at] & 0xffff);
    T grad[4];
    gradient_at(b, image, int64_t(row) * p.width + column, grad);
    out.x.v[lane] = T(2 * column + 1 - p.width);
    out.y.v[lane] = T(p.height - 1 - 2 * row);
    out.upstream.share.v[lane] = run.share[at];
    out.upstream.opacity.v[lane] = run.opacity[at];
    for (int k = 0; k < 3; ++k) out.upstream.color[k].v[lane] = grad[k];
    out.active.v[lane] = some ? -1 : 0;
  }
  const Real<T> scale(p.inverse_shorter);
  out.x = product(out.x, scale);
  out.y = product(out.y, scale);
  return out;
}

template <typename T>
void gather(const LayersBackward<T>& b, int64_t image, int64_t index, const Face<T>& face, const FragmentRun<T>* runs,
            int64_t count) {
  clear_gradient(b, index);
  if (count == 0) return;
  const LayersForward<T>& f = b.forward;
  const LayerParameters<T> p = parameters_of_face(f, index, face);
  FaceTexture<T> texture = texture_of(f, index, b.grad_face_textures + index * texture_numbers(p));
  LayerGradient<Real<T>> g;
  clear(g);
  for (const FragmentRun<T>* run = runs; run != runs + count; ++run) {
    for (int64_t begin = 0; begin < run->count; begin += lanes<T>) {
      const LoadedFragments<T> loaded = load_fragments(b, image, *run, begin);
      Layer<Real<T>> l = layer_at(face, p, loaded.x, loaded.y);
      open_window(l, p);
      layer_vjp(g, texture, face, l, p, loaded.upstream, loaded.active);
    }
  }
  write_gradient(b, index, face, g, texture);
}

template <typename T>
constexpr LayerKernels<T> kernels = {setup<T>, collect<T>, gather<T>};

}  // namespace

const LayerKernels<float>& RENDERER_JOIN(float_layers_, INSTRUCTION_SET)() { return kernels<float>; }
const LayerKernels<double>& RENDERER_JOIN(double_layers_, INSTRUCTION_SET)() { return kernels<double>; }

}  // namespace renderer
