// Device memory between guards, looked at after the launches.
#include "memory.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "scheduler.h"

#if defined(EMULATOR_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(...)
#define __asan_unpoison_memory_region(...)
#endif

namespace emulator {

// Wide: threads run in any order, and the first that goes astray may be the one that goes farthest.
constexpr std::size_t guard_bytes = 64 << 10;

void fill_unwritten(void* memory, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += sizeof(unwritten)) {
    std::memcpy(static_cast<char*>(memory) + at, &unwritten, std::min(bytes - at, sizeof(unwritten)));
  }
}

DeviceMemory::~DeviceMemory() {
  for ([[maybe_unused]] const Buffer& buffer : buffers_) {
    __asan_unpoison_memory_region(buffer.memory.get(), buffer.bytes + 2 * guard_bytes);
  }
  forget_global();
}

void* DeviceMemory::allocate(const char* name, std::size_t element, int64_t count, const void* input, void* output) {
  const std::size_t bytes = element * std::size_t(count), all = bytes + 2 * guard_bytes;
  std::unique_ptr<char[]> memory(new char[all]);
  char* data = memory.get() + guard_bytes;
  fill_unwritten(memory.get(), all);
  if (input) std::memcpy(data, input, bytes);
  __asan_poison_memory_region(memory.get(), guard_bytes);
  __asan_poison_memory_region(data + bytes, guard_bytes);
  watch_global(name, data, bytes, guard_bytes);
  buffers_.push_back({name, element, bytes, input, output, std::move(memory)});
  return data;
}

void DeviceMemory::check(const Buffer& buffer) {
  const auto require = [&](bool fulfilled, const std::string& message) {
    if (!fulfilled) throw std::runtime_error("emulator: " + buffer.name + ": " + message);
  };
  const std::size_t end = guard_bytes + buffer.bytes;
  std::vector<char> fresh(end + guard_bytes);
  fill_unwritten(fresh.data(), fresh.size());
  const auto is_fresh = [&](std::size_t at, std::size_t bytes) {
    return !std::memcmp(fresh.data() + at, buffer.memory.get() + at, bytes);
  };
  require(is_fresh(0, guard_bytes), "a kernel wrote before its begin");
  require(is_fresh(end, guard_bytes), "a kernel wrote after its end");
  const char* data = buffer.memory.get() + guard_bytes;
  require(!buffer.input || !std::memcmp(data, buffer.input, buffer.bytes), "a kernel changed an input");
  if (!buffer.output) return;
  for (std::size_t i = 0; i < buffer.bytes / buffer.element; ++i) {
    const bool missed = is_fresh(guard_bytes + i * buffer.element, buffer.element);
    require(!missed, missed ? "no kernel wrote number " + std::to_string(i) : "");
  }
  std::memcpy(buffer.output, data, buffer.bytes);
}

void DeviceMemory::finish() {
  for (const Buffer& buffer : buffers_) {
    __asan_unpoison_memory_region(buffer.memory.get(), buffer.bytes + 2 * guard_bytes);
    check(buffer);
  }
}

}  // namespace emulator
