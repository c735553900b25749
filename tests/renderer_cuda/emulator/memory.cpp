// Watches memory: guards and missed writes after a launch, bounds and races at each access.
//
// The second needs kernels compiled with -fsanitize=thread: g++ then calls __tsan_read4(address) and
// the like before each access, and here, instead of in libtsan, is what they do. Two accesses to the
// same bytes by different threads of a launch, one of them a write, are a race unless both are atomic
// or a barrier of their block (or a __syncwarp of their warp) lies between them. Nothing lies between
// blocks.
#include "memory.h"

#include <dlfcn.h>

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
namespace {

constexpr std::size_t guard_bytes = 64 << 10;  // wide: threads come in any order, the farthest may be first
constexpr std::size_t most_shared_bytes = 48 << 10;  // of one block, on every chip

// The last access to four bytes.
struct Access {
  uint32_t time = 0, block = 0, syncwarp = 0;
  uint16_t thread = 0;
  uint8_t bytes = 0;  // which of the four, one bit each
  bool atomic = false;
};
struct Cell {
  Access write, read;
};

// Memory that threads share.
struct Region {
  std::string name;
  char* begin;
  std::size_t bytes;
  bool is_shared;  // by a block; else global
  std::vector<Cell> cells = std::vector<Cell>(bytes / 4 + 2);
};

std::vector<Region> shared_regions, global_regions;

// The region an address lies in or, of global memory, beside.
Region* find(const char* address) {
  for (Region& region : shared_regions) {
    if (std::size_t(address - region.begin) < region.bytes) return &region;
  }
  for (Region& region : global_regions) {
    if (std::size_t(address - region.begin + guard_bytes) < region.bytes + 2 * guard_bytes) return &region;
  }
  return nullptr;
}

// ---- races -----------------------------------------------------------------------------------------

bool is_ordered(const Access& old, const Access& now, uint32_t begin) {
  if (old.time < begin) return true;
  if (old.block != now.block) return false;
  return old.thread == now.thread || old.time != now.time ||
         (old.thread / 32 == now.thread / 32 && old.syncwarp != now.syncwarp);
}

// `begin` is when the life of the memory began.
bool is_race(const Access& old, const Access& now, uint32_t begin) {
  return (old.bytes & now.bytes) && !(old.atomic && now.atomic) && !is_ordered(old, now, begin);
}

// Where the kernel's code is: "(addr2line -e LIBRARY 0x123)" tells the line.
std::string code_at(const void* caller) {
  Dl_info info;
  if (!dladdr(caller, &info)) return "";
  char offset[32];
  std::snprintf(offset, sizeof(offset), "%#zx", std::size_t(uintptr_t(caller) - uintptr_t(info.dli_fbase)) - 1);
  return std::string(" (addr2line -e ") + info.dli_fname + " " + offset + ")";
}

[[noreturn]] void report_race(const Region& region, std::size_t offset, const Access& old, bool old_write,
                              bool write, const void* caller) {
  fail(std::string("races: it ") + (write ? "writes" : "reads") + " byte " + std::to_string(offset) + " of " +
       region.name + ", which thread " + name_of_thread(old.thread) + " of block " + name_of_block(old.block) +
       (old_write ? " wrote" : " read") + " with no barrier between" + code_at(caller));
}

[[noreturn]] void report_unwritten(const Region& region, std::size_t offset, const void* caller) {
  fail("reads byte " + std::to_string(offset) + " of " + region.name + ", which no thread has written" +
       code_at(caller));
}

[[noreturn]] void report_bounds(const Region& region, std::ptrdiff_t offset, std::size_t bytes, bool write,
                                const void* caller) {
  fail(std::string(write ? "writes " : "reads ") + std::to_string(bytes) + " bytes at byte " +
       std::to_string(offset) + " of " + region.name + ", which has " + std::to_string(region.bytes) +
       code_at(caller));
}

void touch(const void* pointer, std::size_t bytes, bool write, bool atomic, const void* caller) {
  if (!position) return;  // code of the host
  const auto address = static_cast<char*>(const_cast<void*>(pointer));
  Region* region = find(address);
  if (!region) return;  // a thread's own variables
  const std::ptrdiff_t offset = address - region->begin;
  if (offset < 0 || std::size_t(offset) + bytes > region->bytes) report_bounds(*region, offset, bytes, write, caller);
  const uint32_t begin = region->is_shared ? clock_of_launch.block : clock_of_launch.launch;
  Access now = {clock_of_launch.now, position->block, position->syncwarp, uint16_t(position->thread), 0, atomic};
  for (std::size_t at = std::size_t(offset), end = at + bytes; at < end; at = at / 4 * 4 + 4) {
    const std::size_t first = at % 4, last = std::min<std::size_t>(4, end - at / 4 * 4);
    now.bytes = uint8_t((1u << last) - (1u << first));
    Cell& cell = region->cells[at / 4];
    if (region->is_shared && !write && cell.write.time < begin) report_unwritten(*region, at, caller);
    if (is_race(cell.write, now, begin)) report_race(*region, at, cell.write, true, write, caller);
    if (write && is_race(cell.read, now, begin)) report_race(*region, at, cell.read, false, write, caller);
    (write ? cell.write : cell.read) = now;
  }
}

}  // namespace

void fill_unwritten(void* memory, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += sizeof(unwritten)) {
    std::memcpy(static_cast<char*>(memory) + at, &unwritten, std::min(bytes - at, sizeof(unwritten)));
  }
}

void forget_shared() { shared_regions.clear(); }
void refresh_shared() {
  for (const Region& region : shared_regions) fill_unwritten(region.begin, region.bytes);
}

void share(const char* name, void* memory, std::size_t bytes) {
  for (const Region& region : shared_regions) {
    if (region.begin == memory) return;
  }
  std::size_t all = bytes;
  for (const Region& region : shared_regions) all += region.bytes;
  if (all > most_shared_bytes) fail("needs " + std::to_string(all) + " bytes of static shared memory");
  shared_regions.push_back({name, static_cast<char*>(memory), bytes, true});
  fill_unwritten(memory, bytes);
}

void touch_atomically(const void* address, std::size_t bytes) {
  touch(address, bytes, true, true, __builtin_return_address(0));
}

// ---- guarded memory --------------------------------------------------------------------------------

DeviceMemory::DeviceMemory() { buffers_.reserve(16); }

DeviceMemory::~DeviceMemory() {
  for ([[maybe_unused]] const Buffer& buffer : buffers_) {
    __asan_unpoison_memory_region(buffer.memory.get(), buffer.bytes + 2 * guard_bytes);
  }
  global_regions.clear();
}

char* DeviceMemory::Buffer::data() const { return memory.get() + guard_bytes; }

void* DeviceMemory::allocate(const char* name, std::size_t element, int64_t count, const void* input, void* output) {
  const std::size_t bytes = element * std::size_t(count), all = bytes + 2 * guard_bytes;
  Buffer& buffer = buffers_.emplace_back(
      Buffer{name, element, bytes, input, output, std::unique_ptr<char[]>(new char[all])});
  fill_unwritten(buffer.memory.get(), all);
  if (input) std::memcpy(buffer.data(), input, bytes);
  __asan_poison_memory_region(buffer.memory.get(), guard_bytes);
  __asan_poison_memory_region(buffer.data() + bytes, guard_bytes);
  global_regions.push_back({name, buffer.data(), bytes, false});
  return buffer.data();
}

void DeviceMemory::check(const Buffer& buffer) {
  const std::string name = "emulator: " + buffer.name;
  std::vector<char> fresh(guard_bytes + buffer.bytes + guard_bytes);
  fill_unwritten(fresh.data(), fresh.size());
  if (std::memcmp(fresh.data(), buffer.memory.get(), guard_bytes)) {
    throw std::runtime_error(name + ": a kernel wrote before its begin");
  }
  const std::size_t end = guard_bytes + buffer.bytes;
  if (std::memcmp(fresh.data() + end, buffer.memory.get() + end, guard_bytes)) {
    throw std::runtime_error(name + ": a kernel wrote after its end");
  }
  if (buffer.input && std::memcmp(buffer.data(), buffer.input, buffer.bytes)) {
    throw std::runtime_error(name + ": a kernel changed an input");
  }
  if (!buffer.output) return;
  for (std::size_t at = 0; at < buffer.bytes; at += buffer.element) {
    if (!std::memcmp(fresh.data() + guard_bytes + at, buffer.data() + at, buffer.element)) {
      throw std::runtime_error(name + ": no kernel wrote number " + std::to_string(at / buffer.element));
    }
  }
}

void DeviceMemory::finish() {
  for (const Buffer& buffer : buffers_) {
    __asan_unpoison_memory_region(buffer.memory.get(), buffer.bytes + 2 * guard_bytes);
    check(buffer);
    if (buffer.output) std::memcpy(buffer.output, buffer.data(), buffer.bytes);
  }
}

}  // namespace emulator

// ---- what g++ calls before each access -------------------------------------------------------------

#define EMULATED_ACCESS(BYTES)                                                  \
  void __tsan_read##BYTES(const void* address) {                                 \
    emulator::touch(address, BYTES, false, false, __builtin_return_address(0)); \
  }                                                                             \
  void __tsan_write##BYTES(const void* address) {                                \
    emulator::touch(address, BYTES, true, false, __builtin_return_address(0));  \
  }                                                                             \
  void __tsan_unaligned_read##BYTES(const void* address) {                       \
    emulator::touch(address, BYTES, false, false, __builtin_return_address(0)); \
  }                                                                             \
  void __tsan_unaligned_write##BYTES(const void* address) {                      \
    emulator::touch(address, BYTES, true, false, __builtin_return_address(0));  \
  }
extern "C" {
EMULATED_ACCESS(1)
EMULATED_ACCESS(2)
EMULATED_ACCESS(4)
EMULATED_ACCESS(8)
EMULATED_ACCESS(16)
void __tsan_read_range(const void* address, std::size_t bytes) {
  emulator::touch(address, bytes, false, false, __builtin_return_address(0));
}
void __tsan_write_range(const void* address, std::size_t bytes) {
  emulator::touch(address, bytes, true, false, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
