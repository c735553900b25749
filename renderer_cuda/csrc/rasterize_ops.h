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

// How the faces of a batch are shared out among its images. first_face [B + 1] is in the memory of the
// host, or empty where all meshes are of one size.
struct Batch {
  const stable::Tensor& face_vertices;  // [faces, 3, 3]
  const stable::Tensor& first_face;
  int64_t images;
};

// The tensor side trusts nobody with offsets: a wrong one would read foreign memory.
void check(const Batch& batch) {
  const int64_t faces = batch.face_vertices.size(0), offsets = batch.first_face.size(0);
  STD_TORCH_CHECK(batch.images >= 0, "images must not be negative, got ", batch.images);
  if (offsets == 0) {
    STD_TORCH_CHECK(batch.images == 0 ? faces == 0 : faces % batch.images == 0, faces,
                    " faces cannot be shared out evenly among ", batch.images, " images");
    return;
  }
  const int64_t* first = data<int64_t>(batch.first_face);
  STD_TORCH_CHECK(offsets == batch.images + 1 && first[0] == 0 && first[batch.images] == faces,
                  "first_face must hold ", batch.images + 1, " offsets from 0 to ", faces);
  for (int64_t i = 0; i < batch.images; ++i) {
    STD_TORCH_CHECK(first[i] <= first[i + 1], "first_face must not decrease, got ", first[i], " before ", first[i + 1]);
  }
}

template <typename T>
Parameters<T> parameters_of(const Settings& settings, const Batch& batch, int64_t height, int64_t width) {
  Parameters<T> p = make_parameters<T>(settings, int(height), int(width));
  p.images = batch.images;
  p.faces = batch.face_vertices.size(0);
  p.faces_per_image = batch.images > 0 ? p.faces / batch.images : 0;
  p.first_face = batch.first_face.size(0) == 0 ? nullptr : data<int64_t>(batch.first_face);
  return p;
}

template <typename T>
T* data_or_null(const stable::Tensor& tensor) {
  return tensor.numel() == 0 ? nullptr : data<T>(tensor);
}

template <typename Run>
void in_dtype_of(const stable::Tensor& tensor, const Run& run) {
  is_double(tensor) ? run(0.0) : run(0.0f);
}

// ---- silhouettes -----------------------------------------------------------------------------------

std::tuple<stable::Tensor, stable::Tensor> soft_silhouette(stable::Tensor face_vertices, stable::Tensor first_face,
                                                           int64_t images, int64_t height, int64_t width,
                                                           double sigma, double dist_eps, int64_t distance,
                                                           int64_t alpha_mode) {
  const auto vertices = stable::contiguous(face_vertices);
  const Batch batch = {vertices, first_face, images};
  check(batch);
  Settings settings = {sigma, dist_eps};
  settings.distance = Distance(distance);
  settings.alpha = Alpha(alpha_mode);
  const bool product = settings.alpha == Alpha::product;
  const auto alpha = stable::new_empty(vertices, {images, height, width});
  const auto transmittance = stable::new_empty(vertices, {product ? images : 0, height, width});
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    Forward<T> f = {};
    f.parameters = parameters_of<T>(settings, batch, height, width);
    f.face_vertices = data<T>(vertices);
    f.image = data<T>(alpha);
    f.transmittance = data_or_null<T>(transmittance);
    RENDERER_BACK_END::forward(f, vertices);
  });
  return {alpha, transmittance};
}

stable::Tensor soft_silhouette_backward(stable::Tensor grad_alpha, stable::Tensor face_vertices,
                                        stable::Tensor first_face, stable::Tensor transmittance, double sigma,
                                        double dist_eps, int64_t distance, int64_t alpha_mode) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto grad_image = stable::contiguous(grad_alpha);
  const auto grad_vertices = stable::empty_like(vertices);
  const Batch batch = {vertices, first_face, grad_image.size(0)};
  check(batch);
  Settings settings = {sigma, dist_eps};
  settings.distance = Distance(distance);
  settings.alpha = Alpha(alpha_mode);
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    Backward<T> b = {};
    b.parameters = parameters_of<T>(settings, batch, grad_image.size(1), grad_image.size(2));
    b.face_vertices = data<T>(vertices);
    b.transmittance = data_or_null<T>(transmittance);
    b.grad_image = data<T>(grad_image);
    b.grad_face_vertices = data<T>(grad_vertices);
    RENDERER_BACK_END::backward(b, vertices);
  });
  return grad_vertices;
}

// ---- colours ---------------------------------------------------------------------------------------

Settings settings_of(double sigma, double dist_eps, double gamma, double eps, double near, double far,
                     int64_t distance, int64_t alpha, int64_t color, int64_t texture, bool double_sided,
                     const stable::Tensor& textures) {
  Settings s = {sigma, dist_eps, gamma, eps, near, far, double_sided};
  s.distance = Distance(distance);
  s.alpha = Alpha(alpha);
  s.color = Color(color);
  s.texture = Texture(texture);
  if (s.texture == Texture::surface) {
    while (int64_t(s.texture_side) * s.texture_side < textures.size(1)) ++s.texture_side;
  }
  STD_TORCH_CHECK(s.color != Color::none, "color must be 1 or 2");
  return s;
}

std::tuple<stable::Tensor, stable::Tensor, stable::Tensor, stable::Tensor, stable::Tensor>
soft_rasterize(stable::Tensor face_vertices, stable::Tensor face_textures, stable::Tensor background,
               stable::Tensor first_face, int64_t images, int64_t height, int64_t width, double sigma,
               double dist_eps, double gamma, double eps, double near, double far, int64_t distance,
               int64_t alpha, int64_t color, int64_t texture, bool double_sided) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto textures = stable::contiguous(face_textures);
  const auto behind = stable::contiguous(background);
  const Batch batch = {vertices, first_face, images};
  check(batch);
  const Settings settings =
      settings_of(sigma, dist_eps, gamma, eps, near, far, distance, alpha, color, texture, double_sided, textures);
  const auto of_size = [&](bool needed) {
    return stable::new_empty(vertices, {needed ? images : 0, height, width});
  };
  const bool soft = settings.color == Color::softmax;
  const auto rgba = stable::new_empty(vertices, {images, 4, height, width});
  const auto transmittance = of_size(settings.alpha == Alpha::product);
  const auto peak = of_size(soft), partition = of_size(soft);
  const auto nearest_face = stable::new_empty(vertices, {soft ? 0 : images, height, width},
                                              torch::headeronly::ScalarType::Int);
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    Forward<T> f = {};
    f.parameters = parameters_of<T>(settings, batch, height, width);
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
    stable::Tensor partition, stable::Tensor nearest_face, double sigma, double dist_eps, double gamma,
    double eps, double near, double far, int64_t distance, int64_t alpha, int64_t color, int64_t texture,
    bool double_sided) {
  const auto vertices = stable::contiguous(face_vertices);
  const auto textures = stable::contiguous(face_textures);
  const auto grad_image = stable::contiguous(grad_rgba);
  const auto grad_vertices = stable::empty_like(vertices);
  const auto grad_textures = stable::empty_like(textures);
  const Batch batch = {vertices, first_face, rgba.size(0)};
  check(batch);
  const Settings settings =
      settings_of(sigma, dist_eps, gamma, eps, near, far, distance, alpha, color, texture, double_sided, textures);
  in_dtype_of(vertices, [&](auto zero) {
    using T = decltype(zero);
    Backward<T> b = {};
    b.parameters = parameters_of<T>(settings, batch, rgba.size(2), rgba.size(3));
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
