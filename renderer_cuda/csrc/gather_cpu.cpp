// CPU back end of renderer_cuda::gather_faces and of its transpose, scatter_faces.
//
// One thread takes one image at a time and adds in the order of the faces, so sums are deterministic.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <stdexcept>
#include <string>

namespace {

using torch::stable::Tensor;

struct Shape {
  int64_t images, vertices, channels, corners;  // B, V, C, 3 F
};

// An index outside of the vertices would read or write foreign memory.
void check_indices(const int64_t* index, const Shape& s) {
  for (int64_t i = 0; i < s.corners; ++i) {
    if (index[i] < 0 || index[i] >= s.vertices) {
      throw std::out_of_range("faces must index " + std::to_string(s.vertices) + " vertices, got " +
                              std::to_string(index[i]));
    }
  }
}

template <typename T>
void gather(const T* vertices, const int64_t* index, T* out, const Shape& s) {
  torch::stable::parallel_for(0, s.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      const T* from = vertices + image * s.vertices * s.channels;
      T* to = out + image * s.corners * s.channels;
      for (int64_t i = 0; i < s.corners; ++i, to += s.channels) {
        for (int64_t c = 0; c < s.channels; ++c) to[c] = from[index[i] * s.channels + c];
      }
    }
  });
}

template <typename T>
void scatter(const T* corners, const int64_t* index, T* out, const Shape& s) {
  torch::stable::parallel_for(0, s.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      T* to = out + image * s.vertices * s.channels;
      const T* from = corners + image * s.corners * s.channels;
      for (int64_t i = 0; i < s.vertices * s.channels; ++i) to[i] = T(0);
      for (int64_t i = 0; i < s.corners; ++i, from += s.channels) {
        for (int64_t c = 0; c < s.channels; ++c) to[index[i] * s.channels + c] += from[c];
      }
    }
  });
}

template <typename T>
T* data(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

bool is_double(const Tensor& tensor) {
  return tensor.scalar_type() == torch::headeronly::ScalarType::Double;
}

Tensor gather_faces(Tensor vertices, Tensor faces) {
  const Tensor from = torch::stable::contiguous(vertices), index = torch::stable::contiguous(faces);
  const Shape s = {from.size(0), from.size(1), from.size(2), 3 * index.size(0)};
  check_indices(data<int64_t>(index), s);
  const Tensor out = torch::stable::new_empty(from, {s.images, index.size(0), 3, s.channels});
  if (is_double(from)) {
    gather(data<double>(from), data<int64_t>(index), data<double>(out), s);
  } else {
    gather(data<float>(from), data<int64_t>(index), data<float>(out), s);
  }
  return out;
}

Tensor scatter_faces(Tensor corners, Tensor faces, int64_t num_vertices) {
  const Tensor from = torch::stable::contiguous(corners), index = torch::stable::contiguous(faces);
  const Shape s = {from.size(0), num_vertices, from.size(3), 3 * index.size(0)};
  check_indices(data<int64_t>(index), s);
  const Tensor out = torch::stable::new_empty(from, {s.images, num_vertices, s.channels});
  if (is_double(from)) {
    scatter(data<double>(from), data<int64_t>(index), data<double>(out), s);
  } else {
    scatter(data<float>(from), data<int64_t>(index), data<float>(out), s);
  }
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(renderer_cuda, CPU, library) {
  library.impl("gather_faces", TORCH_BOX(&gather_faces));
  library.impl("scatter_faces", TORCH_BOX(&scatter_faces));
}
