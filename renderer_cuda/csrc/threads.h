// Memory and threads of the CPU back end.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "denormals.h"

namespace renderer {

// Memory that is not cleared: every user writes before it reads. It goes back to a stock of the thread,
// as asking the system for memory and touching it first costs as much as a small render.
class Scratch {
 public:
  explicit Scratch(size_t bytes) {
    Buffer* best = nullptr;  // the smallest that is large enough, so that the largest is left for who needs it
    for (Buffer& kept : stock) {
      if (kept.memory && kept.bytes >= bytes && (!best || kept.bytes < best->bytes)) best = &kept;
    }
    if (best) {
      std::swap(buffer_, *best);
      return;
    }
    buffer_ = {std::unique_ptr<char[]>(new char[bytes]), bytes};
  }
  // Keep the larger ones, but none that a usual render does not need.
  ~Scratch() {
    constexpr size_t most = size_t(64) << 20;  // the pixels of a backward with colour of 1024 x 1024: 34 MB
    Buffer* least = &stock[0];
    for (Buffer& kept : stock) least = kept.bytes < least->bytes ? &kept : least;
    if (buffer_.bytes <= most && buffer_.bytes > least->bytes) std::swap(buffer_, *least);
  }
  template <typename T> T* get() const { return reinterpret_cast<T*>(buffer_.memory.get()); }

 private:
  struct Buffer {
    std::unique_ptr<char[]> memory;
    size_t bytes;
  };
  static inline thread_local Buffer stock[3];
  Buffer buffer_ = {};
};

// Call work(item, scratch) for items [0, count), each thread taking the next free item; the results
// do not depend on who takes which. In parallel over torch's threads, or in this one. Denormal numbers are zero
// in the work, and as before in the threads afterwards.
template <typename T, typename Work>
void for_each(int64_t count, bool parallel, int64_t scratch_size, const Work& work) {
  if (!parallel || count <= 1) {
    const DenormalsAreZero zero;
    const Scratch scratch(sizeof(T) * size_t(scratch_size));
    for (int64_t item = 0; item < count; ++item) work(item, scratch.get<T>());
    return;
  }
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(count, torch::stable::get_num_threads());
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    const DenormalsAreZero zero;
    for (int64_t thread = begin; thread < end; ++thread) {
      const Scratch scratch(sizeof(T) * size_t(scratch_size));
      for (int64_t item; (item = next.fetch_add(1)) < count;) work(item, scratch.get<T>());
    }
  });
}

// Whether to give whole images to threads; else the threads share each image.
inline bool images_fill_threads(int64_t images) {
  return images >= 2 * int64_t(torch::stable::get_num_threads());
}

}  // namespace renderer
