// The ops of the rasterizer over tensors, for the back end that includes this file.
//
// RENDERER_BACK_END names a class in namespace renderer with static functions
// forward(Forward<T>, vertices) and backward(Backward<T>, vertices), where the tensor `vertices` tells the
// device; RENDERER_DISPATCH_KEY is the key to register under. The schemas are defined and
// the arguments validated in renderer_cuda/ops.py. LibTorch stable ABI: one binary for many versions.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cmath>
#include <tuple>

#include "tensors.h"

namespace renderer {
namespace {

namespace stable = torch::stable;

template <typename T>
Parameters<T> parameters_of(const Settings& settings, const Meshes& meshes, int64_t height, int64_t width) {
  Parameters<T> p = make_parameters<T>(settings, int(height), int(width));
  static_cast<Meshes&>(p) = meshes;
  return p;
}

// The numbers of a call, in the memory of the host: sigma, dist_eps, dist_shape, dist_shift, alpha_parameter and, with
// colour, gamma, eps, near and far. They
// are a tensor so that compiled code can hand them over without reading them, so their values are checked here.
constexpr int64_t silhouette_scalars = 5, render_scalars = 9;

Settings scalars_of(const stable::Tensor& scalars, int64_t count) {
  STD_TORCH_CHECK(scalars.dim() == 1 && scalars.size(0) == count && scalars.is_cpu() && scalars.is_contiguous() &&
                      scalars.scalar_type() == torch::headeronly::ScalarType::Double,
                  "scalars must have shape [", count, "], float64, contiguous on the CPU");
  const double* numbers = data<double>(scalars);
  Settings s = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
  STD_TORCH_CHECK(s.sigma > 0 && std::isfinite(s.sigma), "sigma must be positive and finite, got ", s.sigma);
  STD_TORCH_CHECK(s.dist_eps > 0 && s.dist_eps < 0.5, "dist_eps must be between 0 and 0.5, exclusive, got ", s.dist_eps);
  STD_TORCH_CHECK(s.dist_shape > 0 && std::isfinite(s.dist_shape), "dist_shape must be positive and finite, got ",
                  s.dist_shape);
  STD_TORCH_CHECK(std::isfinite(s.dist_shift), "dist_shift must be finite, got ", s.dist_shift);
  STD_TORCH_CHECK(std::isfinite(s.alpha_parameter), "alpha_parameter must be finite, got ", s.alpha_parameter);
  if (count == silhouette_scalars) return s;
  s.gamma = numbers[5];
  s.eps = numbers[6];
  s.near = numbers[7];
  s.far = numbers[8];
  STD_TORCH_CHECK(s.gamma > 0 && std::isfinite(s.gamma), "gamma must be positive and finite, got ", s.gamma);
  STD_TORCH_CHECK(std::isfinite(s.eps), "eps must be finite, got ", s.eps);
  STD_TORCH_CHECK(s.near > 0 && s.near < s.far && std::isfinite(s.far), "near must be positive and far greater, got ",
                  s.near, " and ", s.far);
  return s;
}

// How faces cover pixels and make alpha.
Settings coverage_settings_of(const stable::Tensor& scalars, int64_t count, int64_t distance, int64_t alpha,
                              int64_t distribution, bool squared) {
  Settings s = scalars_of(scalars, count);
  s.distance = Distance(distance);
  s.alpha = Alpha(alpha);
  s.distribution = Distribution(distribution);
  s.squared = squared;
  return s;
}

// The maximum notes the face it takes as a number T at each pixel.
template <typename T>
void check_greatest(const Settings& s, const Meshes& meshes) {
  if (s.alpha != Alpha::maximum) return;
  constexpr int64_t most = sizeof(T) == 4 ? int64_t(1) << 24 : int64_t(1) << 31;
  const int64_t faces = most_faces(meshes);
  STD_TORCH_CHECK(faces <= most, "alpha maximum takes at most ", most, " faces a mesh, got ", faces);
}

// ---- silhouettes -----------------------------------------------------------------------------------

std::tuple<stable::Tensor, stable::Tensor> soft_silhouette(stable::Tensor face_vertices, stable::Tensor first_face,
                                                           int64_t images, int64_t height, int64_t width,
                                                           stable::Tensor scalars, int64_t distance,
                                                           int64_t alpha_mode, int64_t distribution, bool squared) {
  const auto vertices = stable::contiguous(face_vertices);
  const Meshes meshes = meshes_of(vertices, first_face, images);
  const Settings settings = coverage_settings_of(scalars, silhouette_scalars, distance, alpha_mode, distribution, squared);
  const auto alpha = stable::new_empty(vertices, {images, height, width});
  const auto transmittance = stable::new_empty(vertices, {keeps_state(settings.alpha) ? images : 0, height, width});
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    check_greatest<T>(settings, meshes);
    Forward<T> f = {};
    f.parameters = parameters_of<T>(settings, meshes, height, width);
    f.face_vertices = data<T>(vertices);
    f.image = data<T>(alpha);
    f.transmittance = data_or_null<T>(transmittance);
    RENDERER_BACK_END::forward(f, vertices);
  });
  return {alpha, transmittance};
}

stable::Tensor soft_silhouette_backward(stable::Tensor grad_alpha, stable::Tensor face_vertices,
                                        stable::Tensor first_face, stable::Tensor transmittance,
                                        stable::Tensor scalars, int64_t distance, int64_t alpha_mode,
                                        int64_t distribution, bool squared) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto grad_image = stable::contiguous(grad_alpha);
  const auto grad_vertices = stable::empty_like(vertices);
  const Meshes meshes = meshes_of(vertices, first_face, grad_image.size(0));
  const Settings settings = coverage_settings_of(scalars, silhouette_scalars, distance, alpha_mode, distribution, squared);
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    Backward<T> b = {};
    b.parameters = parameters_of<T>(settings, meshes, grad_image.size(1), grad_image.size(2));
    b.face_vertices = data<T>(vertices);
    b.transmittance = data_or_null<T>(transmittance);
    b.grad_image = data<T>(grad_image);
    b.grad_face_vertices = data<T>(grad_vertices);
    RENDERER_BACK_END::backward(b, vertices);
  });
  return grad_vertices;
}

// ---- colours ---------------------------------------------------------------------------------------

Settings settings_of(const stable::Tensor& scalars, int64_t distance, int64_t alpha, int64_t distribution, bool squared,
                     int64_t color, int64_t texture, bool double_sided, bool perspective_correct,
                     const stable::Tensor& textures) {
  Settings s = coverage_settings_of(scalars, render_scalars, distance, alpha, distribution, squared);
  s.double_sided = double_sided;
  s.perspective_correct = perspective_correct;
  s.color = Color(color);
  s.texture = Texture(texture);
  if (s.texture == Texture::surface) {
    while (int64_t(s.texture_side) * s.texture_side < textures.size(1)) ++s.texture_side;
  }
  STD_TORCH_CHECK(s.color != Color::none, "color must be 1 or 2");
  return s;
}

// The last argument, detach_barycentric, is one of the backward alone.
std::tuple<stable::Tensor, stable::Tensor, stable::Tensor, stable::Tensor, stable::Tensor>
soft_rasterize(stable::Tensor face_vertices, stable::Tensor face_textures, stable::Tensor background,
               stable::Tensor first_face, int64_t images, int64_t height, int64_t width, stable::Tensor scalars,
               int64_t distance, int64_t alpha, int64_t distribution, bool squared, int64_t color, int64_t texture,
               bool double_sided, bool perspective_correct, bool) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto textures = stable::contiguous(face_textures);
  const auto behind = stable::contiguous(background);
  const Meshes meshes = meshes_of(vertices, first_face, images);
  const Settings settings =
      settings_of(scalars, distance, alpha, distribution, squared, color, texture, double_sided, perspective_correct,
                  textures);
  const auto of_size = [&](bool needed) {
    return stable::new_empty(vertices, {needed ? images : 0, height, width});
  };
  const bool soft = settings.color == Color::softmax;
  const auto rgba = stable::new_empty(vertices, {images, 4, height, width});
  const auto transmittance = of_size(keeps_state(settings.alpha));
  const auto peak = of_size(soft), partition = of_size(soft);
  const auto nearest_face = stable::new_empty(vertices, {soft ? 0 : images, height, width},
                                              torch::headeronly::ScalarType::Int);
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    check_greatest<T>(settings, meshes);
    Forward<T> f = {};
    f.parameters = parameters_of<T>(settings, meshes, height, width);
    f.parameters.background_image = behind.dim() == 4;
    f.face_vertices = data<T>(vertices);
    f.face_textures = data<T>(textures);
    f.background = data<T>(behind);
    f.image = data<T>(rgba);
    f.transmittance = data_or_null<T>(transmittance);
    f.peak = data_or_null<T>(peak);
    f.partition = data_or_null<T>(partition);
    f.nearest_face = data_or_null<int32_t>(nearest_face);
    RENDERER_BACK_END::forward(f, vertices);
  });
  return {rgba, transmittance, peak, partition, nearest_face};
}

std::tuple<stable::Tensor, stable::Tensor> soft_rasterize_backward(
    stable::Tensor grad_rgba, stable::Tensor face_vertices, stable::Tensor face_textures,
    stable::Tensor first_face, stable::Tensor rgba, stable::Tensor transmittance, stable::Tensor peak,
    stable::Tensor partition, stable::Tensor nearest_face, stable::Tensor scalars, int64_t distance, int64_t alpha,
    int64_t distribution, bool squared, int64_t color, int64_t texture, bool double_sided, bool perspective_correct,
    bool detach_barycentric) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto textures = stable::contiguous(face_textures);
  const auto grad_image = stable::contiguous(grad_rgba);
  const auto grad_vertices = stable::empty_like(vertices);
  const auto grad_textures = stable::empty_like(textures);
  const Meshes meshes = meshes_of(vertices, first_face, rgba.size(0));
  Settings settings =
      settings_of(scalars, distance, alpha, distribution, squared, color, texture, double_sided, perspective_correct,
                  textures);
  settings.detach_barycentric = detach_barycentric;
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    Backward<T> b = {};
    b.parameters = parameters_of<T>(settings, meshes, rgba.size(2), rgba.size(3));
    b.face_vertices = data<T>(vertices);
    b.face_textures = data<T>(textures);
    b.image = data<T>(rgba);
    b.transmittance = data_or_null<T>(transmittance);
    b.peak = data_or_null<T>(peak);
    b.partition = data_or_null<T>(partition);
    b.nearest_face = data_or_null<int32_t>(nearest_face);
    b.grad_image = data<T>(grad_image);
    b.grad_face_vertices = data<T>(grad_vertices);
    b.grad_face_textures = data<T>(grad_textures);
    RENDERER_BACK_END::backward(b, vertices);
  });
  return {grad_vertices, grad_textures};
}

}  // namespace
}  // namespace renderer

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, RENDERER_DISPATCH_KEY, library) {
  library.impl("soft_silhouette", TORCH_BOX(&renderer::soft_silhouette));
  library.impl("soft_silhouette_backward", TORCH_BOX(&renderer::soft_silhouette_backward));
  library.impl("soft_rasterize", TORCH_BOX(&renderer::soft_rasterize));
  library.impl("soft_rasterize_backward", TORCH_BOX(&renderer::soft_rasterize_backward));
}
