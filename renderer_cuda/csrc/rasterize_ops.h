// The ops of the rasterizer over tensors, for the back end that includes this file.
//
// RENDERER_BACK_END names a class in namespace renderer with static functions
// forward(Forward<T>, vertices) and backward(Backward<T>, vertices), where the tensor `vertices` tells the
// device; RENDERER_DISPATCH_KEY is the key to register under. The schemas are defined and
// the arguments validated in renderer_cuda/ops.py. LibTorch stable ABI: one binary for many versions.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>

namespace renderer {
namespace {

namespace stable = torch::stable;

template <typename T>
T* data(const stable::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

bool is_double(const stable::Tensor& tensor) {
  return tensor.scalar_type() == torch::headeronly::ScalarType::Double;
}

template <typename T>
Parameters<T> parameters_of(const Settings& settings, const stable::Tensor& face_vertices,
                            int64_t height, int64_t width) {
  return make_parameters<T>(settings, face_vertices.size(0), face_vertices.size(1), int(height), int(width));
}

// ---- silhouettes -----------------------------------------------------------------------------------

std::tuple<stable::Tensor, stable::Tensor> soft_silhouette(stable::Tensor face_vertices, int64_t height,
                                                           int64_t width, double sigma, double dist_eps) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto alpha = stable::new_empty(vertices, {vertices.size(0), height, width});
  const auto transmittance = stable::empty_like(alpha);
  const Settings settings = {sigma, dist_eps};
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    Forward<T> f = {};
    f.parameters = parameters_of<T>(settings, vertices, height, width);
    f.face_vertices = data<T>(vertices);
    f.image = data<T>(alpha);
    f.transmittance = data<T>(transmittance);
    RENDERER_BACK_END::forward(f, vertices);
  };
  is_double(vertices) ? run(0.0) : run(0.0f);
  return {alpha, transmittance};
}

stable::Tensor soft_silhouette_backward(stable::Tensor grad_alpha, stable::Tensor face_vertices,
                                        stable::Tensor transmittance, double sigma, double dist_eps) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto grad_image = stable::contiguous(grad_alpha);
  const auto grad_vertices = stable::empty_like(vertices);
  const Settings settings = {sigma, dist_eps};
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    Backward<T> b = {};
    b.parameters = parameters_of<T>(settings, vertices, transmittance.size(1), transmittance.size(2));
    b.face_vertices = data<T>(vertices);
    b.transmittance = data<T>(transmittance);
    b.grad_image = data<T>(grad_image);
    b.grad_face_vertices = data<T>(grad_vertices);
    RENDERER_BACK_END::backward(b, vertices);
  };
  is_double(vertices) ? run(0.0) : run(0.0f);
  return grad_vertices;
}

// ---- colours ---------------------------------------------------------------------------------------

std::tuple<stable::Tensor, stable::Tensor, stable::Tensor, stable::Tensor, stable::Tensor>
soft_rasterize(stable::Tensor face_vertices, stable::Tensor face_textures, stable::Tensor background,
               int64_t height, int64_t width, double sigma, double dist_eps, double gamma, double eps,
               double near, double far, bool hard_color, bool double_sided) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto textures = stable::contiguous(face_textures);
  const auto behind = stable::contiguous(background);
  const int64_t images = vertices.size(0);
  const auto rgba = stable::new_empty(vertices, {images, 4, height, width});
  const auto transmittance = stable::new_empty(vertices, {images, height, width});
  const int64_t soft = hard_color ? 0 : images, hard = hard_color ? images : 0;
  const auto peak = stable::new_empty(vertices, {soft, height, width});
  const auto partition = stable::new_empty(vertices, {soft, height, width});
  const auto nearest_face =
      stable::new_empty(vertices, {hard, height, width}, torch::headeronly::ScalarType::Int);
  const Color color = hard_color ? Color::hard : Color::softmax;
  const Settings settings = {sigma, dist_eps, gamma, eps, near, far, double_sided, color};
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    Forward<T> f = {};
    f.parameters = parameters_of<T>(settings, vertices, height, width);
    f.face_vertices = data<T>(vertices);
    f.face_textures = data<T>(textures);
    f.background = data<T>(behind);
    f.image = data<T>(rgba);
    f.transmittance = data<T>(transmittance);
    f.peak = data<T>(peak);
    f.partition = data<T>(partition);
    f.nearest_face = data<int32_t>(nearest_face);
    RENDERER_BACK_END::forward(f, vertices);
  };
  is_double(vertices) ? run(0.0) : run(0.0f);
  return {rgba, transmittance, peak, partition, nearest_face};
}

std::tuple<stable::Tensor, stable::Tensor> soft_rasterize_backward(
    stable::Tensor grad_rgba, stable::Tensor face_vertices, stable::Tensor face_textures,
    stable::Tensor rgba, stable::Tensor transmittance, stable::Tensor peak, stable::Tensor partition,
    stable::Tensor nearest_face, double sigma, double dist_eps, double gamma, double eps, double near,
    double far, bool hard_color, bool double_sided) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto textures = stable::contiguous(face_textures);
  const auto grad_image = stable::contiguous(grad_rgba);
  const auto grad_vertices = stable::empty_like(vertices);
  const auto grad_textures = stable::empty_like(textures);
  const Color color = hard_color ? Color::hard : Color::softmax;
  const Settings settings = {sigma, dist_eps, gamma, eps, near, far, double_sided, color};
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    Backward<T> b = {};
    b.parameters = parameters_of<T>(settings, vertices, rgba.size(2), rgba.size(3));
    b.face_vertices = data<T>(vertices);
    b.face_textures = data<T>(textures);
    b.image = data<T>(rgba);
    b.transmittance = data<T>(transmittance);
    b.peak = data<T>(peak);
    b.partition = data<T>(partition);
    b.nearest_face = data<int32_t>(nearest_face);
    b.grad_image = data<T>(grad_image);
    b.grad_face_vertices = data<T>(grad_vertices);
    b.grad_face_textures = data<T>(grad_textures);
    RENDERER_BACK_END::backward(b, vertices);
  };
  is_double(vertices) ? run(0.0) : run(0.0f);
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
