// Arithmetic without denormal numbers, which many processors are ten to a hundred times slower at.
//
// Weights of faces far behind others, and the gradients that come of them, are among the denormals or beyond: no
// result needs them. So the CPU kernels count them as zero, whatever the thread that calls has set: the bits of a
// render do not depend on torch.set_flush_denormal.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace renderer {

// While an object of this class lives, its thread reads and writes denormal numbers as zero; then what was set
// before holds again. Processors without such a mode (or not known here) go on as they are.
class DenormalsAreZero {
 public:
  DenormalsAreZero() : before_(read()) { write(before_ | flags); }
  ~DenormalsAreZero() { write(before_); }
  DenormalsAreZero(const DenormalsAreZero&) = delete;
  DenormalsAreZero& operator=(const DenormalsAreZero&) = delete;

 private:
#if defined(__SSE2__)
  using Word = unsigned;
  static constexpr Word flags = 0x8040;  // MXCSR: flush to zero (results), denormals are zero (operands)
  static Word read() { return _mm_getcsr(); }
  static void write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word flags = Word(1) << 24;  // FPCR.FZ: both
  static Word read() {
    Word word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { __asm__ volatile("msr fpcr, %0" : : "r"(word) : "memory"); }
#else
  using Word = unsigned;
  static constexpr Word flags = 0;
  static Word read() { return 0; }
  static void write(Word) {}
#endif

  Word before_;
};

}  // namespace renderer
