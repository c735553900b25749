// The ops of layered colours over tensors, for the back end that includes this file.
//
// RENDERER_BACK_END names a class in namespace renderer with static functions forward(LayersForward<T>, vertices) and
// backward(LayersBackward<T>, vertices), where the tensor `vertices` tells the device; RENDERER_DISPATCH_KEY is the key to
// register under. The schemas are defined and the arguments validated in renderer_cuda/layers.py; a direct call of an op
// gets an error, not a crash.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cmath>
#include <tuple>

#include "blends.h"
#include "tensors.h"

namespace renderer {
namespace {

namespace stable = torch::stable;

// What both ops are told: the numbers sigma, dist_eps, dist_shape, dist_shift, alpha_parameter, gamma, eps, near, far and
// stop_transmittance, float64 on the host, and modes. `color` is 0 for none, 1 for softmax, 2 for hard and 3 for over.
struct LayerOptions {
  const stable::Tensor& scalars;
  int64_t distance, alpha, distribution;
  bool squared;
  int64_t color, texture, window, order;
  bool double_sided, perspective_correct, detach_barycentric;
};

LayerSettings settings_of(const LayerOptions& options, const stable::Tensor& textures) {
  constexpr int count = 10, over = 3;
  STD_TORCH_CHECK(options.scalars.dim() == 1 && options.scalars.size(0) == count && options.scalars.is_cpu() &&
                      options.scalars.is_contiguous() &&
                      options.scalars.scalar_type() == torch::headeronly::ScalarType::Double,
                  "scalars must have shape [", count, "], float64, contiguous on the CPU");
  STD_TORCH_CHECK(options.window >= 0 && options.window < windows, "window must be in 0..", windows - 1);
  STD_TORCH_CHECK(options.color >= 0 && options.color <= over, "color must be in 0..", over);
  STD_TORCH_CHECK(options.order >= 0 && options.order < orders, "order must be in 0..", orders - 1);
  const double* numbers = data<double>(options.scalars);
  LayerSettings s;
  s.sigma = numbers[0];
  s.dist_eps = numbers[1];
  s.dist_shape = numbers[2];
  s.dist_shift = numbers[3];
  s.alpha_parameter = numbers[4];
  s.gamma = numbers[5];
  s.eps = numbers[6];
  s.near = numbers[7];
  s.far = numbers[8];
  s.stop_transmittance = numbers[9];
  STD_TORCH_CHECK(s.gamma > 0 && std::isfinite(s.gamma), "gamma must be positive and finite, got ", s.gamma);
  STD_TORCH_CHECK(s.sigma > 0 && std::isfinite(s.sigma), "sigma must be positive and finite, got ", s.sigma);
  s.distance = Distance(options.distance);
  s.distribution = Distribution(options.distribution);
  s.squared = options.squared;
  s.alpha = Alpha(options.alpha);
  s.over = options.color == over;
  s.color = s.over ? Color::hard : Color(options.color);  // any with colour: how layers blend the other kernels do not ask
  s.texture = Texture(options.texture);
  s.window = Window(options.window);
  s.order = Order(options.order);
  s.double_sided = options.double_sided;
  s.perspective_correct = options.perspective_correct;
  s.detach_barycentric = options.detach_barycentric;
  if (s.texture == Texture::surface) {
    while (int64_t(s.texture_side) * s.texture_side < textures.size(1)) ++s.texture_side;
  }
  return s;
}

// A tensor of one number a face, or of none.
template <typename T>
T* per_face(const char* name, const stable::Tensor& tensor, const Meshes& meshes) {
  STD_TORCH_CHECK(tensor.dim() == 1 && (tensor.size(0) == 0 || tensor.size(0) == meshes.faces), name,
                  " must have shape [", meshes.faces, "] or [0]");
  return data_or_null<T>(tensor);
}

// The tensors that both ops read, contiguous.
struct LayerInputs {
  stable::Tensor vertices, textures, opacity, sigma, background;

  template <typename T>
  LayersForward<T> call(const LayerOptions& options, const Meshes& meshes, int64_t height, int64_t width) const {
    LayersForward<T> f = {};
    f.parameters = make_layer_parameters<T>(settings_of(options, textures), int(height), int(width));
    static_cast<Meshes&>(f.parameters) = meshes;
    f.parameters.background_image = background.dim() == 4;
    f.face_vertices = data<T>(vertices);
    f.face_textures = data<T>(textures);
    f.face_opacity = per_face<T>("face_opacity", opacity, meshes);
    f.face_sigma = per_face<T>("face_sigma", sigma, meshes);
    f.background = data<T>(background);
    return f;
  }
};

LayerInputs inputs_of(const stable::Tensor& face_vertices, const stable::Tensor& face_textures,
                      const stable::Tensor& face_opacity, const stable::Tensor& face_sigma,
                      const stable::Tensor& background) {
  return {stable::contiguous(face_vertices), stable::contiguous(face_textures), stable::contiguous(face_opacity),
          stable::contiguous(face_sigma), stable::contiguous(background)};
}

// The last argument, detach_barycentric, is one of the backward alone.
std::tuple<stable::Tensor, stable::Tensor, stable::Tensor> layered_rasterize(
    stable::Tensor face_vertices, stable::Tensor face_textures, stable::Tensor face_opacity, stable::Tensor face_sigma,
    stable::Tensor background, stable::Tensor first_face, int64_t images, int64_t height, int64_t width,
    stable::Tensor scalars, int64_t distance, int64_t alpha_mode, int64_t distribution, bool squared, int64_t color,
    int64_t texture, int64_t window, int64_t order, bool double_sided, bool perspective_correct, bool) {
  const LayerInputs inputs = inputs_of(face_vertices, face_textures, face_opacity, face_sigma, background);
  const LayerOptions options = {scalars, distance, alpha_mode,   distribution,        squared,           color,
                                texture, window,   order,        double_sided, perspective_correct, false};
  const Meshes meshes = meshes_of(inputs.vertices, first_face, images);
  const auto rgba = stable::new_empty(inputs.vertices, {images, 4, height, width});
  const auto transmittance = stable::new_empty(inputs.vertices, {images, height, width});
  const LayerSettings settings = settings_of(options, inputs.textures);
  const int64_t numbers = settings.color == Color::none ? 2 : 4;  // see kept_numbers
  const auto kept = stable::new_empty(inputs.vertices, {settings.over ? 0 : images, height, width, numbers});
  in_dtype_of(inputs.vertices, [&](auto zero) {
    using T = decltype(zero);
    LayersForward<T> f = inputs.call<T>(options, meshes, height, width);
    f.image = data<T>(rgba);
    f.transmittance = data<T>(transmittance);
    f.kept = data_or_null<T>(kept);
    RENDERER_BACK_END::forward(f, inputs.vertices);
  });
  return {rgba, transmittance, kept};
}

std::tuple<stable::Tensor, stable::Tensor, stable::Tensor, stable::Tensor> layered_rasterize_backward(
    stable::Tensor grad_rgba, stable::Tensor face_vertices, stable::Tensor face_textures, stable::Tensor face_opacity,
    stable::Tensor face_sigma, stable::Tensor background, stable::Tensor first_face, stable::Tensor rgba,
    stable::Tensor kept, stable::Tensor scalars,
    int64_t distance, int64_t alpha_mode, int64_t distribution, bool squared, int64_t color, int64_t texture,
    int64_t window, int64_t order, bool double_sided, bool perspective_correct,
    bool detach_barycentric) {
  const LayerInputs inputs = inputs_of(face_vertices, face_textures, face_opacity, face_sigma, background);
  const LayerOptions options = {scalars, distance, alpha_mode,   distribution,        squared,           color,
                                texture, window,   order,        double_sided, perspective_correct, detach_barycentric};
  const auto grad_image = stable::contiguous(grad_rgba);
  const auto image = stable::contiguous(rgba), state = stable::contiguous(kept);
  const Meshes meshes = meshes_of(inputs.vertices, first_face, grad_image.size(0));
  const auto grad_vertices = stable::empty_like(inputs.vertices);
  const auto grad_textures = stable::empty_like(inputs.textures);
  const auto grad_opacity = stable::empty_like(inputs.opacity);
  const auto grad_sigma = stable::empty_like(inputs.sigma);
  in_dtype_of(inputs.vertices, [&](auto zero) {
    using T = decltype(zero);
    LayersBackward<T> b = {};
    b.forward = inputs.call<T>(options, meshes, grad_image.size(2), grad_image.size(3));
    b.image = data<T>(image);
    b.kept = data_or_null<T>(state);
    b.grad_image = data<T>(grad_image);
    b.grad_face_vertices = data<T>(grad_vertices);
    b.grad_face_textures = data<T>(grad_textures);
    b.grad_face_opacity = data_or_null<T>(grad_opacity);
    b.grad_face_sigma = data_or_null<T>(grad_sigma);
    RENDERER_BACK_END::backward(b, inputs.vertices);
  });
  return {grad_vertices, grad_textures, grad_opacity, grad_sigma};
}

}  // namespace
}  // namespace renderer

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, RENDERER_DISPATCH_KEY, layers) {
  layers.impl("layered_rasterize", TORCH_BOX(&renderer::layered_rasterize));
  layers.impl("layered_rasterize_backward", TORCH_BOX(&renderer::layered_rasterize_backward));
}
