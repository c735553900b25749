// What every rasterizer kernel is told, in one struct; T is float or double.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "distributions.h"
#include "meshes.h"

namespace renderer {

// How far a pixel is from a face: equation 1 (euclidean), the least barycentric coordinate in place of
// the distance, or inside and outside alone.
enum class Distance : int { euclidean = 0, barycentric = 1, hard = 2 };
// How coverages D make alpha: 1 - prod(1 - D), sum(D) / F, whether any is above one half, or by another t-conorm
// (tconorms.h).
enum class Alpha : int {
  product = 0,
  sum,
  hard,
  maximum,
  einstein,  // becomes hamacher
  hamacher,
  frank,
  yager,
  aczel_alsina,
  dombi,
  schweizer_sklar,
};

// Whether the backward reads what the forward writes of alpha at each pixel (Forward::transmittance).
HOST_DEVICE constexpr bool keeps_state(Alpha alpha) { return alpha != Alpha::sum && alpha != Alpha::hard; }
// Whether what faces let through is multiplied, from 1 where there is none; the states of the others begin at 0.
HOST_DEVICE constexpr bool multiplies(Alpha alpha) { return alpha == Alpha::product || alpha == Alpha::frank; }
// How faces blend: not at all (silhouettes), by a softmax over depth, or the nearest alone.
enum class Color : int { none = 0, softmax = 1, hard = 2 };
// Where colours lie: three corners, or R * R texels on the face.
enum class Texture : int { vertex = 0, surface = 1 };

template <typename T>
struct Parameters : Meshes {
  int height;                  // H, pixels
  int width;                   // W, pixels
  T inverse_shorter;           // 1 / min(H, W): NDC has 2 / shorter per pixel
  T half_shorter;              // min(H, W) / 2: pixels per NDC

  Distance distance;
  Alpha alpha;
  Color color;
  Texture texture;
  int texture_side;            // R
  bool double_sided;
  bool perspective_correct;    // colours are mixed on the face rather than on the image
  bool detach_barycentric;     // the backward holds the place on the face that a pixel shows constant
  bool background_image;       // background is [B, 3, H, W] rather than [3]

  DistributionParameters<T> distribution;
  bool squared;        // D is a function of s d^2 / sigma rather than of s d / sqrt(sigma), s = +-1
  T alpha_parameter;   // of the t-conorm; of frank its logarithm
  T frank_above;       // e^l - 1 of that logarithm l

  T inverse_sigma;     // 1 / sigma, per squared NDC
  T inverse_root_sigma;  // its root
  T support_square;    // coverage ends at this squared distance: sigma * log(1 / dist_eps - 1) where it is logistic
  T support_radius;    // its root, NDC
  T near, far;         // faces outside have no colour, view depth
  T depth_scale;       // 1 / ((far - near) * gamma): depth to logit
  T background_logit;  // (eps - 1) / gamma: logits are those of the paper less 1 / gamma

  // Whether the kernels for every mode are needed: anything but what silhouettes and vertex colours are trained
  // with is asked for.
  bool every_mode() const {
    return distance != Distance::euclidean || alpha != Alpha::product || texture != Texture::vertex ||
           perspective_correct || detach_barycentric || distribution.kind != Distribution::logistic || !squared;
  }
};

// The numbers of a call as its user gives them.
struct Settings {
  double sigma = 1e-5, dist_eps = 1e-4;
  double dist_shape = 1.0, dist_shift = 0.0, alpha_parameter = 0.0;
  double gamma = 1e-4, eps = 1e-3, near = 1.0, far = 100.0;
  bool double_sided = true, perspective_correct = false, detach_barycentric = false;
  Distance distance = Distance::euclidean;
  Alpha alpha = Alpha::product;
  Distribution distribution = Distribution::logistic;
  bool squared = true;
  Color color = Color::none;
  Texture texture = Texture::vertex;
  int texture_side = 0;
};

// The squared distance, NDC, at which coverage ends.
inline double support_square_of(const Settings& s) {
  const double reach = s.distribution == Distribution::logistic
                           ? std::log(1.0 / s.dist_eps - 1.0)
                           : reach_of(make_distribution<double>(s.distribution, s.dist_shape, s.dist_shift), s.dist_eps);
  return s.sigma * (s.squared ? reach : reach * reach);
}

// Set the t-conorm and what its functions need of its parameter.
template <typename T>
void set_alpha(Parameters<T>& p, const Settings& s) {
  const bool einstein = s.alpha == Alpha::einstein;
  const double parameter = einstein ? 2.0 : s.alpha == Alpha::frank ? std::log(s.alpha_parameter) : s.alpha_parameter;
  p.alpha = einstein ? Alpha::hamacher : s.alpha;
  p.alpha_parameter = T(parameter);
  p.frank_above = s.alpha == Alpha::frank ? T(std::expm1(parameter)) : T(0);
}

// Derive the kernels' numbers in double and round once. Quotients are cut well inside the range of T
// (its root squared), so that a sum or difference of two stays finite at every sigma, gamma > 0.
template <typename T>
Parameters<T> make_parameters(const Settings& s, int height, int width) {
  const double bound = double(std::numeric_limits<T>::max()) * 1e-3;
  const auto cut = [bound](double value) { return T(std::fmax(-bound, std::fmin(bound, value))); };
  const int shorter = height < width ? height : width;
  Parameters<T> p = {};
  p.height = height;
  p.width = width;
  p.inverse_shorter = T(1.0 / shorter);
  p.half_shorter = T(0.5 * shorter);
  p.distance = s.distance;
  set_alpha(p, s);
  p.distribution = make_distribution<T>(s.distribution, s.dist_shape, s.dist_shift);
  p.squared = s.squared;
  p.color = s.color;
  p.texture = s.texture;
  p.texture_side = s.texture_side;
  p.double_sided = s.double_sided;
  p.perspective_correct = s.perspective_correct;
  p.detach_barycentric = s.detach_barycentric;
  p.inverse_sigma = cut(1.0 / s.sigma);
  p.inverse_root_sigma = cut(1.0 / std::sqrt(s.sigma));
  p.support_square = cut(support_square_of(s));
  p.support_radius = T(std::sqrt(double(p.support_square)));
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
  const T* face_vertices;  // [faces, 3, 3] NDC x, NDC y, view depth
  const T* face_textures;  // [faces, 3, 3] or [faces, R * R, 3] RGB; null without colour
  const T* background;     // [3] or [B, 3, H, W] RGB; null without colour
  // out
  T* image;                // alpha [B, H, W] without colour, else rgba [B, 4, H, W]
  T* transmittance;        // [B, H, W] prod(1 - coverage), the state of another t-conorm (tconorms.h; of the
                           // maximum the index in its mesh of the face, -1 for none), or null, see keeps_state
  T* peak;                 // [B, H, W] exponent of the partition, base 2 (softmax), or null
  T* partition;            // [B, H, W] sum of exp(logit) / 2^peak, background included, or null
  int32_t* nearest_face;   // [B, H, W] index in its mesh of the face seen, -1 for none (hard), or null
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
  T* grad_face_vertices;    // [faces, 3, 3]
  T* grad_face_textures;    // like face_textures, or null
};

}  // namespace renderer
