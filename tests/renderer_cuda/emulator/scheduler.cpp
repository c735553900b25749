// Runs grids on the CPU: one block after another, in shuffled order; the threads of a block as fibers.
//
// A fiber (a stack of its own) runs until it waits at a barrier or a warp operation, then the
// scheduler goes on with another, in an order that a seed shuffles anew each time. Stricter than the
// hardware: every thread of a block has to reach a barrier at the same place in the source, and every
// lane that a mask names has to arrive at the same operation. Where that cannot come true any more,
// the launch ends with a message that tells who waits where.
#include "scheduler.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#if defined(EMULATOR_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(...)
#define __sanitizer_finish_switch_fiber(...)
#define __asan_unpoison_memory_region(...)
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulator {
namespace {

constexpr std::size_t most_threads = 1024, most_blocks = 1 << 24, stack_bytes = 256 << 10;
constexpr unsigned lanes = 32;

enum class State { ready, at_barrier, in_warp_operation, returned };

struct Thread {
  Position position;
  uint3 index;  // threadIdx
  State state;
  // What it waits for.
  const char* operation;
  Site site;
  unsigned mask;
  uint64_t brought, received[lanes];
  // Its fiber.
  void* resume_point[5];
  ucontext_t start;
  bool started = false;
  char* stack = nullptr;
  void* fake_stack = nullptr;
};

// A stack, for the sanitizer.
struct Stack {
  const void* bottom;
  std::size_t bytes;
};

std::mutex one_launch_at_a_time;
std::mt19937_64 shuffler(0);
std::string error, last_error;
long launches = 0, blocks = 0, switches = 0;

const char* kernel;
const std::function<void()>* body;
std::vector<Thread> threads(most_threads);
std::size_t count;  // of threads in a block
Thread* running = nullptr;
void* scheduler_point[5];
[[maybe_unused]] Stack scheduler_stack;

uint3 unflatten(std::size_t number, const uint3& size) {
  return {unsigned(number % size.x), unsigned(number / size.x % size.y), unsigned(number / size.x / size.y)};
}
std::string name_of(const uint3& i) {
  return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

// ---- fibers ----------------------------------------------------------------------------------------

// Remember in `from` where we are and go on at `to`. The compiler saves all registers around its own
// setjmp, if it may not look through the call (noipa); twelve times faster than swapcontext, which
// asks the kernel.
[[gnu::noipa]] void jump(void** to) { __builtin_longjmp(to, 1); }
[[gnu::noipa]] void jump(void** from, void** to) {
  if (__builtin_setjmp(from) == 0) jump(to);
}
[[gnu::noipa]] void jump(void** from, ucontext_t* start) {
  if (__builtin_setjmp(from) == 0) setcontext(start);
}

// Give the processor back to the scheduler; returns when it is this thread's turn again.
void yield() {
  Thread& self = *running;
  __sanitizer_start_switch_fiber(&self.fake_stack, scheduler_stack.bottom, scheduler_stack.bytes);
  jump(self.resume_point, scheduler_point);
  __sanitizer_finish_switch_fiber(self.fake_stack, &scheduler_stack.bottom, &scheduler_stack.bytes);
}

// A fiber serves one thread after another.
void fiber() {
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack.bottom, &scheduler_stack.bytes);
  for (;;) {
    (*body)();
    running->state = State::returned;
    yield();
  }
}

void prepare_fiber(Thread& thread) {
  if (!thread.stack) {
    thread.stack = static_cast<char*>(
        mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    mprotect(thread.stack, 4096, PROT_NONE);  // a stack that overflows shall not reach its neighbour
  }
  __asan_unpoison_memory_region(thread.stack, stack_bytes);
  getcontext(&thread.start);
  thread.start.uc_stack.ss_sp = thread.stack;
  thread.start.uc_stack.ss_size = stack_bytes;
  makecontext(&thread.start, fiber, 0);
}

void resume(Thread& thread) {
  ++switches;
  running = &thread;
  position = &thread.position;
  threadIdx = thread.index;
  const bool is_new = !std::exchange(thread.started, true);
  if (is_new) prepare_fiber(thread);
  [[maybe_unused]] void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, thread.stack, stack_bytes);
  is_new ? jump(scheduler_point, &thread.start) : jump(scheduler_point, thread.resume_point);
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
  running = nullptr;
  position = nullptr;
}

// ---- a block ---------------------------------------------------------------------------------------

std::string place(const Site& site) {
  const std::string file = site.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(site.line());
}

bool same_place(const Site& a, const Site& b) {
  return a.line() == b.line() && !std::strcmp(a.file_name(), b.file_name());
}

std::string describe(const Thread& thread) {
  if (thread.state == State::returned) return "returned";
  return "wait in " + std::string(thread.operation) + " at " + place(thread.site);
}

// Who waits where, when no thread can go on.
void report_stuck() {
  std::map<std::string, std::vector<uint32_t>> groups;
  for (std::size_t i = 0; i < count; ++i) groups[describe(threads[i])].push_back(threads[i].position.thread);
  error = std::string(kernel) + ": block " + name_of(blockIdx) + " is stuck:";
  for (const auto& [what, members] : groups) {
    error += " " + std::to_string(members.size()) + " threads (the first " + name_of_thread(members[0]) + ") " +
             what + (what == "returned" ? " already;" : ";");
  }
  error.pop_back();
}

template <typename Condition>
bool all(Condition condition) {
  return std::all_of(threads.begin(), threads.begin() + long(count), condition);
}

// The threads that can go on, shuffled; one time in two only those of one warp, so that warps get far
// ahead of each other.
const std::vector<Thread*>& choose() {
  static std::vector<Thread*> chosen;
  chosen.clear();
  for (std::size_t i = 0; i < count; ++i) {
    if (threads[i].state == State::ready) chosen.push_back(&threads[i]);
  }
  std::shuffle(chosen.begin(), chosen.end(), shuffler);
  if (!chosen.empty() && shuffler() % 2) {
    const unsigned warp = chosen[0]->position.thread / lanes;
    std::erase_if(chosen, [=](const Thread* thread) { return thread->position.thread / lanes != warp; });
  }
  return chosen;
}

void run_block(uint32_t number) {
  blockIdx = unflatten(number, gridDim);
  refresh_shared();
  clock_of_launch.block = ++clock_of_launch.now;
  for (uint32_t i = 0; i < count; ++i) {
    threads[i].position = {number, i, 0};
    threads[i].index = unflatten(i, blockDim);
    threads[i].state = State::ready;
  }
  for (;;) {
    const auto& chosen = choose();
    for (Thread* thread : chosen) {
      resume(*thread);
      if (!error.empty()) return;
    }
    if (!chosen.empty()) continue;
    if (all([](const Thread& t) { return t.state == State::returned; })) return;
    const Site& site = threads[0].site;
    if (!all([&](const Thread& t) { return t.state == State::at_barrier && same_place(t.site, site); })) {
      return report_stuck();
    }
    ++clock_of_launch.now;
    uint64_t brought = 0;
    for (std::size_t i = 0; i < count; ++i) brought |= threads[i].brought;
    for (std::size_t i = 0; i < count; ++i) {
      threads[i].received[0] = brought;
      threads[i].state = State::ready;
    }
  }
}

// After an error fibers stand in the middle of their kernel: the next launch starts them anew.
void abandon_fibers() {
  for (Thread& thread : threads) thread.started = false;
}

std::string check_shape(dim3 grid, dim3 block, std::size_t dynamic_shared_bytes) {
  const std::size_t grid_size = std::size_t(grid.x) * grid.y * grid.z;
  const std::size_t block_size = std::size_t(block.x) * block.y * block.z;
  if (grid_size == 0 || block_size == 0 || block_size > most_threads) return "invalid grid or block size";
  if (grid_size > most_blocks) return "the grid is too large for the emulator";
  return dynamic_shared_bytes ? "the emulator has no dynamic shared memory" : "";
}

}  // namespace

Clock clock_of_launch;
const Position* position = nullptr;

void launch(const char* name, const std::function<void()>& thread, dim3 grid, dim3 block,
            std::size_t dynamic_shared_bytes, cudaStream_t) {
  const std::lock_guard lock(one_launch_at_a_time);
  const std::string refusal = check_shape(grid, block, dynamic_shared_bytes);
  if (!refusal.empty()) error = std::string(name) + ": " + refusal;
  if (!error.empty()) return;
  kernel = name;
  body = &thread;
  gridDim = grid;
  blockDim = block;
  count = std::size_t(block.x) * block.y * block.z;
  std::vector<uint32_t> order(std::size_t(grid.x) * grid.y * grid.z);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), shuffler);
  ++launches;
  clock_of_launch.launch = ++clock_of_launch.now;
  forget_shared();
  for (const uint32_t number : order) {
    ++blocks;
    run_block(number);
    if (!error.empty()) return abandon_fibers();
  }
}

// ---- what kernels call -----------------------------------------------------------------------------

unsigned lane() { return running->position.thread % lanes; }

std::string name_of_thread(uint32_t number) { return name_of(unflatten(number, blockDim)); }
std::string name_of_block(uint32_t number) { return name_of(unflatten(number, gridDim)); }

void fail(const std::string& message) {
  error = std::string(kernel) + ": thread " + name_of_thread(running->position.thread) + " of block " +
          name_of(blockIdx) + " " + message;
  for (;;) yield();
}

void fail_here(const char* operation, const char* what, Site site) {
  fail(what + std::string(" in ") + operation + " at " + place(site));
}

uint64_t barrier(const char* operation, uint64_t brought, Site site) {
  Thread& self = *running;
  self.state = State::at_barrier;
  self.operation = operation;
  self.site = site;
  self.brought = brought;
  yield();
  return self.received[0];
}

const uint64_t* exchange(const char* operation, unsigned mask, uint64_t brought, Site site) {
  Thread& self = *running;
  const std::size_t first = self.position.thread / lanes * lanes;
  if (!(mask >> lane() & 1)) fail_here(operation, "is not named in the mask", site);
  if (first + std::bit_width(mask) > count) fail_here(operation, "names lanes beyond the block", site);
  self.state = State::in_warp_operation;
  self.operation = operation;
  self.site = site;
  self.mask = mask;
  self.brought = brought;

  const auto named = [=](std::size_t i) { return mask >> i & 1; };
  uint64_t all_brought[lanes] = {};
  for (std::size_t i = 0; i < lanes; ++i) {
    if (!named(i)) continue;
    const Thread& other = threads[first + i];
    const bool arrived = other.state == State::in_warp_operation && other.mask == mask &&
                         (other.operation == operation || !std::strcmp(other.operation, operation));
    if (!arrived) return yield(), self.received;
    all_brought[i] = other.brought;
  }
  // The last to arrive hands everyone a copy and lets them go.
  const uint32_t now = std::strcmp(operation, "__syncwarp") ? 0 : ++clock_of_launch.now;
  for (std::size_t i = 0; i < lanes; ++i) {
    if (!named(i)) continue;
    Thread& other = threads[first + i];
    std::copy_n(all_brought, lanes, other.received);
    other.state = State::ready;
    if (now) other.position.syncwarp = now;
  }
  yield();
  return self.received;
}

}  // namespace emulator

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  if (emulator::bytes_in_global(to, bytes) < bytes) {
    emulator::error = "cudaMemsetAsync: not all is memory of the device";
    return 1;
  }
  std::memset(to, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  const bool to_host = kind == cudaMemcpyDeviceToHost;
  const void *const device = to_host ? from : to, *const host = to_host ? to : from;
  if (emulator::bytes_in_global(device, bytes) < bytes || emulator::bytes_in_global(host, bytes) > 0) {
    emulator::error = to_host ? "cudaMemcpyAsync: not from memory of the device to memory of the host"
                              : "cudaMemcpyAsync: not from memory of the host to memory of the device";
    return 1;
  }
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  emulator::last_error = std::exchange(emulator::error, "");
  return emulator::last_error.empty() ? cudaSuccess : 1;
}
const char* cudaGetErrorString(cudaError_t) { return emulator::last_error.c_str(); }

// ---- what the tests call ---------------------------------------------------------------------------

extern "C" {
__attribute__((visibility("default"))) void emulator_seed(uint64_t seed) { emulator::shuffler.seed(seed); }
// Launches, blocks and resumed threads so far.
__attribute__((visibility("default"))) void emulator_counts(long* out) {
  out[0] = emulator::launches;
  out[1] = emulator::blocks;
  out[2] = emulator::switches;
}
}
