// What the parts of the emulator tell each other.
#pragma once

#include <string>

#include "cuda_runtime.h"

namespace emulator {

// Stamps that order accesses to memory: a clock that moves on at every launch, block and barrier.
struct Clock {
  uint32_t launch = 0;  // when this launch began
  uint32_t block = 0;   // when this block began
  uint32_t now = 0;
};

// The thread that runs now.
struct Position {
  uint32_t block;     // number within the grid
  uint32_t thread;    // number within the block
  uint32_t syncwarp;  // stamp of its last __syncwarp
};

extern Clock clock_of_launch;
extern const Position* position;  // null outside of kernels

// "(5,0,0)": the index of a thread in the running block, or of a block in the grid.
std::string name_of_thread(uint32_t number);
std::string name_of_block(uint32_t number);

// Give up the launch with a message; the threads of the block stay where they are for ever.
[[noreturn]] void fail(const std::string& message);

// What memory holds before it is written: NaN as float and as double, and unlikely as an integer.
constexpr uint32_t unwritten = 0xfffa5a5au;
void fill_unwritten(void* memory, std::size_t bytes);

// The memory whose accesses are watched: global until forgotten, with a margin around it that belongs
// to nobody; shared (see `share`) for a launch, made unwritten for each block.
void watch_global(const std::string& name, void* memory, std::size_t bytes, std::size_t margin);
void forget_global();
// How many of the bytes lie in global memory, guards not counted.
std::size_t bytes_in_global(const void* memory, std::size_t bytes);
void forget_shared();
void refresh_shared();

}  // namespace emulator
