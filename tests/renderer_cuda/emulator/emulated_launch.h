// Launches from the tensor side of an emulated back end.
#pragma once

#include <stdexcept>
#include <string>

#include "memory.h"
#include "meshes.h"
#include "scratch.h"

namespace renderer {

// Every buffer of a launch gets guarded memory of its own.
class EmulatedScratch : public ScratchMemory {
 public:
  explicit EmulatedScratch(emulator::DeviceMemory& memory) : memory_(memory) {}

 private:
  void* take_bytes(const char* name, int64_t bytes) override { return memory_.scratch(name, bytes); }

  emulator::DeviceMemory& memory_;
};

// Launch a call (see scratch.h) whose pointers are of `memory`, and copy what it wrote to the host.
template <typename Call>
void launch_emulated(const Call& call, emulator::DeviceMemory& memory) {
  EmulatedScratch scratch(memory);
  if (const char* error = launch(call, scratch, nullptr)) {
    throw std::runtime_error(std::string("emulator: ") + error);
  }
  memory.finish();
}

// How offsets are handed over: in memory of the device, as a caller may have them; others than those that the op has
// checked, where `instead` is not null.
struct OffsetsOnDevice {
  bool chosen = false;
  const int64_t* instead = nullptr;
};

inline OffsetsOnDevice& offsets_on_device() {
  static OffsetsOnDevice offsets;
  return offsets;
}

inline void place_offsets(Meshes& m, emulator::DeviceMemory& memory) {
  const OffsetsOnDevice offsets = offsets_on_device();
  if (!m.first_face || !offsets.chosen) return;
  const int64_t* from = offsets.instead ? offsets.instead : m.first_face;
  m.first_face = memory.input("first_face", from, m.images + 1);
  m.first_face_on_device = true;
}

}  // namespace renderer

// Defined here, as one file of each library includes this one.
extern "C" __attribute__((visibility("default"))) void emulator_put_offsets_on_device(int chosen,
                                                                                      const int64_t* instead) {
  renderer::offsets_on_device() = {chosen != 0, instead};
}
