// The device memory of one launch: guarded copies of what the host gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace emulator {

class DeviceMemory {
 public:
  DeviceMemory() = default;
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // `count` numbers that kernels may only read, copied from the host. Null stays null.
  template <typename T>
  const T* input(const char* name, const T* host, int64_t count) {
    return host ? static_cast<T*>(allocate(name, sizeof(T), count, host, nullptr)) : nullptr;
  }
  // `count` numbers that kernels have to write, all of them; `finish` copies them to the host.
  template <typename T>
  T* output(const char* name, T* host, int64_t count) {
    return host ? static_cast<T*>(allocate(name, sizeof(T), count, nullptr, host)) : nullptr;
  }
  // Memory that kernels use between themselves.
  void* scratch(const char* name, int64_t bytes) { return allocate(name, 1, bytes, nullptr, nullptr); }

  // To be called after the launches: looks at guards, inputs and outputs and copies outputs to the
  // host. Throws std::runtime_error that names the buffer.
  void finish();

 private:
  struct Buffer {
    std::string name;
    std::size_t element, bytes;
    const void* input;
    void* output;
    std::unique_ptr<char[]> memory;  // guard, bytes, guard
  };
  void* allocate(const char* name, std::size_t element, int64_t count, const void* input, void* output);
  static void check(const Buffer&);  // and copy to the host
  std::vector<Buffer> buffers_;
};

}  // namespace emulator
