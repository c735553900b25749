// What the tensor sides of the ops share. LibTorch stable ABI: one binary for many versions.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "meshes.h"

namespace renderer {

template <typename T>
T* data(const torch::stable::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

template <typename T>
T* data_or_null(const torch::stable::Tensor& tensor) {
  return tensor.numel() == 0 ? nullptr : data<T>(tensor);
}

// Call run(zero) with a zero of the tensor's type, which has to be float or double.
template <typename Run>
void in_dtype_of(const torch::stable::Tensor& tensor, const Run& run) {
  const bool is_double = tensor.scalar_type() == torch::headeronly::ScalarType::Double;
  STD_TORCH_CHECK(is_double || tensor.scalar_type() == torch::headeronly::ScalarType::Float,
                  "a tensor of float32 or float64 is required");
  is_double ? run(0.0) : run(0.0f);
}

// How the faces of face_vertices [N, 3, 3] are shared out among the images. first_face [B + 1] is empty where all
// meshes are of one size. Offsets in the memory of the host are checked here too, where the op is called directly: a
// wrong one would read foreign memory. Those on the device of the faces are not looked at, see cuda_meshes.h.
inline Meshes meshes_of(const torch::stable::Tensor& face_vertices, const torch::stable::Tensor& first_face,
                        int64_t images) {
  STD_TORCH_CHECK(face_vertices.dim() == 3 && face_vertices.size(1) == 3 && face_vertices.size(2) == 3,
                  "face_vertices must have shape [N, 3, 3]");
  const bool on_device = !first_face.is_cpu();
  STD_TORCH_CHECK(first_face.dim() == 1 && first_face.is_contiguous() &&
                      first_face.scalar_type() == torch::headeronly::ScalarType::Long &&
                      (!on_device || first_face.get_device_index() == face_vertices.get_device_index()),
                  "first_face must have shape [B + 1] or [0], int64, contiguous, on the CPU or the device of the faces");
  STD_TORCH_CHECK(images >= 0, "images must not be negative, got ", images);
  const int64_t faces = face_vertices.size(0), offsets = first_face.size(0);
  if (offsets == 0) {
    STD_TORCH_CHECK(images == 0 ? faces == 0 : faces % images == 0, faces,
                    " faces cannot be shared out evenly among ", images, " images");
    return {images, faces, images > 0 ? faces / images : 0, nullptr, false};
  }
  const int64_t* first = data<int64_t>(first_face);
  if (on_device) {
    STD_TORCH_CHECK(offsets == images + 1, "first_face must hold ", images + 1, " offsets, got ", offsets);
    return {images, faces, 0, first, true};
  }
  STD_TORCH_CHECK(offsets == images + 1 && first[0] == 0 && first[images] == faces, "first_face must hold ",
                  images + 1, " offsets from 0 to ", faces);
  for (int64_t i = 0; i < images; ++i) {
    STD_TORCH_CHECK(first[i] <= first[i + 1], "first_face must not decrease, got ", first[i], " before ", first[i + 1]);
  }
  return {images, faces, 0, first, false};
}

// `faces` has to be [F, 3] int64 beside `values`.
inline void check_faces(const torch::stable::Tensor& faces, const torch::stable::Tensor& values) {
  STD_TORCH_CHECK(faces.dim() == 2 && faces.size(1) == 3 &&
                      faces.scalar_type() == torch::headeronly::ScalarType::Long &&
                      faces.is_cuda() == values.is_cuda() && faces.get_device_index() == values.get_device_index(),
                  "faces must have shape [F, 3], int64, on the device of the values");
}

}  // namespace renderer
