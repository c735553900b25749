// Watches each access of a kernel to memory that threads share: bounds, races, reads of nothing.
//
// Kernels are compiled with -fsanitize=thread: g++ then calls __tsan_read4(address) and the like before
// each access. Here, instead of in libtsan, is what they do. Two accesses to the same byte by different
// threads of a launch, one of them a write, are a race unless both are atomic or a barrier of their
// block (or a __syncwarp of their warp) lies between them. Nothing lies between blocks.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "scheduler.h"

namespace emulator {
namespace {

constexpr std::size_t most_shared_bytes = 48 << 10;  // of one block, on every chip

// An access to four neighbouring bytes; of each four the last write and the last read are known.
struct Access {
  uint32_t time = 0, block = 0, syncwarp = 0;
  uint16_t thread = 0;
  uint8_t bytes = 0;  // which of the four, one bit each
  bool atomic = false;
};
struct Cell {
  Access write, read;
};

struct Region {
  std::string name;
  char* begin;
  std::size_t bytes;
  std::size_t margin;  // what lies before and behind the region and belongs to nobody
  bool is_shared;      // by a block; else global
  std::vector<Cell> cells = std::vector<Cell>(bytes / 4 + 2);
};

std::vector<Region> regions;

// The region in which, or in whose margin, an address lies.
Region* find(const char* address) {
  for (Region& region : regions) {
    if (std::size_t(address - region.begin) + region.margin < region.bytes + 2 * region.margin) return &region;
  }
  return nullptr;
}

// Whether two accesses race, in memory whose life began at `begin`.
bool is_race(const Access& old, const Access& now, uint32_t begin) {
  if (!(old.bytes & now.bytes) || (old.atomic && now.atomic) || old.time < begin) return false;
  if (old.block != now.block) return true;
  const bool ordered_in_warp = old.thread / 32 == now.thread / 32 && old.syncwarp != now.syncwarp;
  return old.thread != now.thread && old.time == now.time && !ordered_in_warp;
}

// " (addr2line -e LIBRARY 0x123)", which tells the line of the source.
std::string code_at(const void* caller) {
  Dl_info info;
  if (!dladdr(caller, &info)) return "";
  char offset[32];
  std::snprintf(offset, sizeof(offset), "%#zx", std::size_t(uintptr_t(caller) - uintptr_t(info.dli_fbase)) - 1);
  return std::string(" (addr2line -e ") + info.dli_fname + " " + offset + ")";
}

void touch(const void* pointer, std::size_t bytes, bool write, bool atomic, const void* caller) {
  if (!position) return;  // code of the host
  const auto address = static_cast<const char*>(pointer);
  Region* region = find(address);
  if (!region) return;  // a thread's own variables
  const std::ptrdiff_t offset = address - region->begin;
  const auto report = [&](const std::string& why) {
    fail(std::string(write ? "writes " : "reads ") + std::to_string(bytes) + " bytes at byte " +
         std::to_string(offset) + " of " + region->name + ", which " + why + code_at(caller));
  };
  const auto report_race = [&](const Access& old, const char* verb) {
    report("thread " + name_of_thread(old.thread) + " of block " + name_of_block(old.block) + verb +
           " with no barrier between");
  };
  if (offset < 0 || std::size_t(offset) + bytes > region->bytes) report("has " + std::to_string(region->bytes));

  const uint32_t begin = region->is_shared ? clock_of_launch.block : clock_of_launch.launch;
  Access now = {clock_of_launch.now, position->block, position->syncwarp, uint16_t(position->thread), 0, atomic};
  for (std::size_t at = std::size_t(offset), end = at + bytes; at < end; at = at / 4 * 4 + 4) {
    const std::size_t first = at % 4, last = std::min<std::size_t>(4, end - at / 4 * 4);
    now.bytes = uint8_t((1u << last) - (1u << first));
    Cell& cell = region->cells[at / 4];
    if (region->is_shared && !write && cell.write.time < begin) report("no thread has written");
    if (is_race(cell.write, now, begin)) report_race(cell.write, " wrote");
    if (write && is_race(cell.read, now, begin)) report_race(cell.read, " read");
    (write ? cell.write : cell.read) = now;
  }
}

}  // namespace

void watch_global(const std::string& name, void* memory, std::size_t bytes, std::size_t margin) {
  regions.push_back({name, static_cast<char*>(memory), bytes, margin, false});
}
void forget_global() {
  std::erase_if(regions, [](const Region& region) { return !region.is_shared; });
}
std::size_t bytes_in_global(const void* memory, std::size_t bytes) {
  const char* const begin = static_cast<const char*>(memory);
  std::size_t inside = 0;
  for (const Region& region : regions) {
    const char* const first = std::max<const char*>(begin, region.begin);
    const char* const last = std::min<const char*>(begin + bytes, region.begin + region.bytes);
    if (!region.is_shared && first < last) inside += std::size_t(last - first);
  }
  return inside;
}
void forget_shared() {
  std::erase_if(regions, [](const Region& region) { return region.is_shared; });
}
void refresh_shared() {
  for (const Region& region : regions) {
    if (region.is_shared) fill_unwritten(region.begin, region.bytes);
  }
}

void share(const char* name, void* memory, std::size_t bytes) {
  std::size_t all = bytes;
  for (const Region& region : regions) {
    if (region.begin == memory) return;
    all += region.is_shared ? region.bytes : 0;
  }
  if (all > most_shared_bytes) fail("needs " + std::to_string(all) + " bytes of static shared memory");
  regions.push_back({name, static_cast<char*>(memory), bytes, 0, true});
  fill_unwritten(memory, bytes);
}

void touch_atomically(const void* address, std::size_t bytes) {
  touch(address, bytes, true, true, __builtin_return_address(0));
}

}  // namespace emulator

// ---- what g++ calls --------------------------------------------------------------------------------

#define EMULATED_ACCESS(NAME, BYTES, WRITE)                                     \
  void __tsan_##NAME(const void* address) {                                     \
    emulator::touch(address, BYTES, WRITE, false, __builtin_return_address(0)); \
  }
#define EMULATED_ACCESSES(BYTES)                       \
  EMULATED_ACCESS(read##BYTES, BYTES, false)           \
  EMULATED_ACCESS(write##BYTES, BYTES, true)           \
  EMULATED_ACCESS(unaligned_read##BYTES, BYTES, false) \
  EMULATED_ACCESS(unaligned_write##BYTES, BYTES, true)

extern "C" {
EMULATED_ACCESSES(1)
EMULATED_ACCESSES(2)
EMULATED_ACCESSES(4)
EMULATED_ACCESSES(8)
EMULATED_ACCESSES(16)
void __tsan_read_range(const void* address, std::size_t bytes) {
  emulator::touch(address, bytes, false, false, __builtin_return_address(0));
}
void __tsan_write_range(const void* address, std::size_t bytes) {
  emulator::touch(address, bytes, true, false, __builtin_return_address(0));
}
// Objects with virtual functions are of the host, which prepares launches in the same files.
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
