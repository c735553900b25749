// The plain way to render silhouettes, which the kernels of renderer_cuda are measured against.
//
// A thread owns a pixel and looks at every face of its image, forward and backward, and gradients are added up
// by atomicAdd: what the released SoftRas kernels do, written anew. alpha = 1 - prod(1 - D) with
// D = sigmoid(+-d^2 / sigma), d the distance to the outline of the face; outside of the face beyond `reach`
// D counts as zero. Faces must be such that can be drawn.
#include <cuda_runtime.h>

#include <cstdint>

namespace {

constexpr int block_size = 256;

struct Scene {
  const float* faces;  // [images, count, 3, 3]: NDC x, NDC y, depth
  int images, count, size;
  float sigma, reach;
};

// The outline of a face as one pixel sees it.
struct Nearest {
  float squared;  // distance
  float x, y;     // from the pixel to the nearest point
  int start;      // the edge goes from this corner to the next,
  float share;    // and the point is this far along it
  bool inside;
};

__device__ Nearest nearest_point(const float* face, float x, float y) {
  Nearest best = {3.0e38f, 0.0f, 0.0f, 0, 0.0f, true};
  float sign = 0.0f;
  for (int start = 0; start < 3; ++start) {
    const float* a = face + 3 * start;
    const float* b = face + 3 * ((start + 1) % 3);
    const float edge_x = b[0] - a[0], edge_y = b[1] - a[1];
    const float to_x = x - a[0], to_y = y - a[1];
    const float side = edge_x * to_y - edge_y * to_x;
    if (start == 0) sign = side;
    if (side * sign <= 0.0f) best.inside = false;
    float share = (to_x * edge_x + to_y * edge_y) / (edge_x * edge_x + edge_y * edge_y);
    share = share < 0.0f ? 0.0f : share > 1.0f ? 1.0f : share;
    const float away_x = share * edge_x - to_x, away_y = share * edge_y - to_y;
    const float squared = away_x * away_x + away_y * away_y;
    if (squared < best.squared) {
      best.squared = squared;
      best.x = away_x;
      best.y = away_y;
      best.start = start;
      best.share = share;
    }
  }
  return best;
}

// D of the face; zero beyond its reach.
__device__ float coverage(const Scene& scene, const Nearest& nearest) {
  if (!nearest.inside && nearest.squared > scene.reach * scene.reach) return 0.0f;
  const float logit = (nearest.inside ? nearest.squared : -nearest.squared) / scene.sigma;
  return 1.0f / (1.0f + expf(-logit));
}

// 1 - D without the loss of digits where D is near 1.
__device__ float complement(const Scene& scene, const Nearest& nearest) {
  if (!nearest.inside && nearest.squared > scene.reach * scene.reach) return 1.0f;
  const float logit = (nearest.inside ? nearest.squared : -nearest.squared) / scene.sigma;
  return 1.0f / (1.0f + expf(logit));
}

__device__ float centre_x(const Scene& scene, int64_t pixel) {
  return float(2 * int(pixel % scene.size) + 1 - scene.size) / float(scene.size);
}

__device__ float centre_y(const Scene& scene, int64_t pixel) {
  const int row = int(pixel / scene.size % scene.size);
  return float(scene.size - 1 - 2 * row) / float(scene.size);
}

__global__ void forward_kernel(Scene scene, float* alpha) {
  const int64_t pixel = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t pixels = int64_t(scene.size) * scene.size;
  if (pixel >= scene.images * pixels) return;
  const float x = centre_x(scene, pixel), y = centre_y(scene, pixel);
  const float* faces = scene.faces + pixel / pixels * scene.count * 9;
  float transmittance = 1.0f;
  for (int i = 0; i < scene.count; ++i) transmittance *= complement(scene, nearest_point(faces + 9 * i, x, y));
  alpha[pixel] = 1.0f - transmittance;
}

// d alpha / d D = prod(1 - D) / (1 - D), d D / d logit = D (1 - D), so the product of both is prod(1 - D) D.
__global__ void backward_kernel(Scene scene, const float* alpha, const float* grad_alpha, float* grad_faces) {
  const int64_t pixel = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t pixels = int64_t(scene.size) * scene.size;
  if (pixel >= scene.images * pixels) return;
  const float x = centre_x(scene, pixel), y = centre_y(scene, pixel);
  const int64_t first = pixel / pixels * scene.count;
  const float outer = grad_alpha[pixel] * (1.0f - alpha[pixel]) / scene.sigma;
  if (outer == 0.0f) return;
  for (int i = 0; i < scene.count; ++i) {
    const int64_t face = 9 * (first + i);
    const Nearest nearest = nearest_point(scene.faces + face, x, y);
    const float covered = coverage(scene, nearest);
    if (covered == 0.0f) continue;
    const float grad = 2.0f * outer * covered * (nearest.inside ? 1.0f : -1.0f);
    float* a = grad_faces + face + 3 * nearest.start;
    float* b = grad_faces + face + 3 * ((nearest.start + 1) % 3);
    atomicAdd(a, grad * nearest.x * (1.0f - nearest.share));
    atomicAdd(a + 1, grad * nearest.y * (1.0f - nearest.share));
    atomicAdd(b, grad * nearest.x * nearest.share);
    atomicAdd(b + 1, grad * nearest.y * nearest.share);
  }
}

unsigned blocks_of(const Scene& scene) {
  const int64_t pixels = int64_t(scene.images) * scene.size * scene.size;
  return unsigned((pixels + block_size - 1) / block_size);
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// All pointers are of the device; both return what cudaGetLastError says. grad_faces must be zero.
EXPORT int brute_force_forward(const float* faces, int images, int count, int size, float sigma, float reach,
                               float* alpha, void* stream) {
  const Scene scene = {faces, images, count, size, sigma, reach};
  forward_kernel<<<blocks_of(scene), block_size, 0, static_cast<cudaStream_t>(stream)>>>(scene, alpha);
  return int(cudaGetLastError());
}

EXPORT int brute_force_backward(const float* faces, int images, int count, int size, float sigma, float reach,
                                const float* alpha, const float* grad_alpha, float* grad_faces, void* stream) {
  const Scene scene = {faces, images, count, size, sigma, reach};
  backward_kernel<<<blocks_of(scene), block_size, 0, static_cast<cudaStream_t>(stream)>>>(scene, alpha, grad_alpha,
                                                                                         grad_faces);
  return int(cudaGetLastError());
}
