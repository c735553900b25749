// What the kernels of a launch ask of its tensor side: memory they use between themselves.
//
// For every kind of call there are, found by overloading:
//   const char* launch(const Call&, ScratchMemory&, void* stream);
//   int64_t scratch_bytes(const Call&);
// `stream` is a cudaStream_t. `launch` takes its buffers from the memory and returns null, or what CUDA says
// went wrong. Both lay their buffers out by one function, which fills one struct of typed pointers.
#pragma once

#include <cstdint>

namespace renderer {

// Device memory for the buffers of one launch. It need not be cleared, and every address is a multiple of 16.
class ScratchMemory {
 public:
  virtual ~ScratchMemory() = default;

  // The address of `count` numbers; `name` is for messages.
  template <typename T>
  T* take(const char* name, int64_t count) {
    return static_cast<T*>(take_bytes(name, count * int64_t(sizeof(T))));
  }

 private:
  virtual void* take_bytes(const char* name, int64_t bytes) = 0;
};

// Buffers one after the other in one piece of memory; without memory it only measures how much they need.
class ScratchBlock : public ScratchMemory {
 public:
  explicit ScratchBlock(void* memory = nullptr) : memory_(static_cast<char*>(memory)) {}
  int64_t bytes() const { return bytes_; }

 private:
  void* take_bytes(const char*, int64_t bytes) override {
    constexpr int64_t alignment = 256;
    char* address = memory_ ? memory_ + bytes_ : nullptr;
    bytes_ += (bytes + alignment - 1) / alignment * alignment;
    return address;
  }

  char* memory_;
  int64_t bytes_ = 0;
};

}  // namespace renderer
