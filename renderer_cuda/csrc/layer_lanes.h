// One face in all lanes, with its colours and the gradient of all it brings: what layers and blends share on the CPU.
//
// In an anonymous namespace, as it is included by files compiled for different processors, see lanes.h.
#pragma once

#include "lanes.h"
#include "layers.h"

namespace renderer {
namespace {

// What the colours of one face are mixed from, in all lanes.
template <typename T>
struct FaceTexture {
  VertexTexture<Real<T>, T> corners;
  SurfaceTexture<T> texels;
  bool surface;

  HOST_DEVICE void color(const Surface<Real<T>>& s, Real<T> out[3]) const {
    surface ? texels.color(s, out) : corners.color(s, out);
  }
  HOST_DEVICE void color_vjp(const Surface<Real<T>>& s, const Real<T> grad_color[3], Real<T> grad_mixing[3]) {
    surface ? texels.color_vjp(s, grad_color, grad_mixing) : corners.color_vjp(s, grad_color, grad_mixing);
  }
};

// All lanes have the first, and only, of some textures.
template <typename T> constexpr int32_t first_texture[lanes<T>] = {};

// The colours of one face of the batch; `gradient` is where those of its texels go.
template <typename T>
HOST_DEVICE FaceTexture<T> texture_of(const LayersForward<T>& f, int64_t face, T* gradient) {
  const LayerParameters<T>& p = f.parameters;
  const int numbers = texture_numbers(p);
  const T* own = f.face_textures + face * numbers;
  const bool surface = p.texture == Texture::surface;
  FaceTexture<T> texture = {{}, {{own, numbers}, {gradient, numbers}, first_texture<T>, p.texture_side}, surface};
  if (!surface) __builtin_memcpy(texture.corners.corner, own, 9 * sizeof(T));
  texture.corners.clear();
  return texture;
}

// Write the sums over the lanes.
template <typename T>
void write_gradient(const LayersBackward<T>& b, int64_t index, const Face<T>& face, const LayerGradient<Real<T>>& g,
                    const FaceTexture<T>& texture) {
  T grad_x[3], grad_y[3];
  for (int k = 0; k < 3; ++k) {
    grad_x[k] = lane_sum(g.face.outline.x[k]);
    grad_y[k] = lane_sum(g.face.outline.y[k]);
  }
  if (b.forward.parameters.window == Window::incenter) inradius_vjp<T>(face, lane_sum(g.inradius), grad_x, grad_y);
  T* out = b.grad_face_vertices + 9 * index;
  for (int k = 0; k < 3; ++k) {
    out[3 * k] = grad_x[k];
    out[3 * k + 1] = grad_y[k];
    out[3 * k + 2] = lane_sum(g.face.z[k]);
  }
  for (int i = 0; i < 9 && !texture.surface; ++i) {
    b.grad_face_textures[9 * index + i] = lane_sum(texture.corners.grad[i]);
  }
  if (b.grad_face_opacity) b.grad_face_opacity[index] = lane_sum(g.opacity);
  if (b.grad_face_sigma) b.grad_face_sigma[index] = lane_sum(g.sigma);
}

// Zeros for a face that no pixel shows.
template <typename T>
void clear_gradient(const LayersBackward<T>& b, int64_t index) {
  const int numbers = texture_numbers(b.forward.parameters);
  __builtin_memset(b.grad_face_vertices + 9 * index, 0, 9 * sizeof(T));
  __builtin_memset(b.grad_face_textures + numbers * index, 0, sizeof(T) * size_t(numbers));
  if (b.grad_face_opacity) b.grad_face_opacity[index] = T(0);
  if (b.grad_face_sigma) b.grad_face_sigma[index] = T(0);
}

}  // namespace
}  // namespace renderer
