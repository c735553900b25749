// What every rasterizer kernel is told, in one struct; T is float or double.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace renderer {

enum class Color : int { none = 0, softmax = 1, hard = 2 };

template <typename T>
struct Parameters {
  int64_t images;  // B
  int64_t faces;   // F
  int height;      // H, pixels
  int width;       // W, pixels
  T shorter;       // min(H, W): NDC has 2 / shorter per pixel

  T inverse_sigma;   // 1 / sigma, per squared NDC
  T support_square;  // sigma * log(1 / dist_eps - 1): coverage ends at this squared distance
  T support_radius;  // its root, NDC

  Color color;
  bool double_sided;
  T near, far;          // faces outside have no colour, view depth
  T depth_scale;        // 1 / ((far - near) * gamma): depth to logit
  T background_logit;   // (eps - 1) / gamma: logits are those of the paper less 1 / gamma
};

// The numbers of a call as its user gives them.
struct Settings {
  double sigma = 1e-5, dist_eps = 1e-4;
  double gamma = 1e-4, eps = 1e-3, near = 1.0, far = 100.0;
  bool double_sided = true;
  Color color = Color::none;
};

// Derive the kernels' numbers in double and round once. Quotients are cut well inside the range of T
// (its root squared), so that a sum or difference of two stays finite at every sigma, gamma > 0.
template <typename T>
Parameters<T> make_parameters(const Settings& s, int64_t images, int64_t faces, int height, int width) {
  const double bound = double(std::numeric_limits<T>::max()) * 1e-3;
  const auto cut = [bound](double value) { return T(std::fmax(-bound, std::fmin(bound, value))); };
  Parameters<T> p;
  p.images = images;
  p.faces = faces;
  p.height = height;
  p.width = width;
  p.shorter = T(height < width ? height : width);
  p.inverse_sigma = cut(1.0 / s.sigma);
  p.support_square = cut(s.sigma * std::log(1.0 / s.dist_eps - 1.0));
  p.support_radius = T(std::sqrt(double(p.support_square)));
  p.color = s.color;
  p.double_sided = s.double_sided;
  p.near = T(s.near);
  p.far = T(s.far);
  p.depth_scale = cut(1.0 / (s.far - s.near) / s.gamma);
  p.background_logit = cut((s.eps - 1.0) / s.gamma);
  return p;
}

// Forward.
template <typename T>
struct Forward {
  Parameters<T> parameters;
  // in
  const T* face_vertices;  // [B, F, 3, 3] NDC x, NDC y, view depth
  const T* face_textures;  // [B, F, 3, 3] RGB of the corners; null without colour
  const T* background;     // [3] RGB; null without colour
  // out
  T* image;                // alpha [B, H, W] without colour, else rgba [B, 4, H, W]
  T* transmittance;        // [B, H, W] prod(1 - coverage)
  T* peak;                 // [B, H, W] largest logit (softmax) or null
  T* partition;            // [B, H, W] sum of exp(logit - peak), background included, or null
  int32_t* nearest_face;   // [B, H, W] index of the face seen, -1 for none (hard) or null
};

// Backward.
template <typename T>
struct Backward {
  Parameters<T> parameters;
  // forward in
  const T* face_vertices;
  const T* face_textures;
  // forward out
  const T* image;
  const T* transmittance;
  const T* peak;
  const T* partition;
  const int32_t* nearest_face;
  // grad out
  const T* grad_image;      // like image
  // grad in
  T* grad_face_vertices;    // [B, F, 3, 3]
  T* grad_face_textures;    // [B, F, 3, 3] or null
};

}  // namespace renderer
