// Numbers below 1.2e-38 count as 0 while a kernel runs, as -ftz=true makes it on a GPU (kernels/cuda/programs.py, options).
//
// The processor's switch covers double, too, which a GPU does not flush: below 2.2e-308 the emulator differs.
#pragma once
#include <stdint.h>

namespace tinydx {

class FlushDenormals {
    uint64_t before;

#if defined(__x86_64__)
    static constexpr uint64_t SWITCH = 0x8040;  // results and operands: FTZ, DAZ
    static uint64_t get() { return __builtin_ia32_stmxcsr(); }
    static void set(uint64_t mode) { __builtin_ia32_ldmxcsr(mode); }
#else
    static constexpr uint64_t SWITCH = 1 << 24;  // FZ
    static uint64_t get() {
        uint64_t mode;
        asm volatile("mrs %0, fpcr" : "=r"(mode));
        return mode;
    }
    static void set(uint64_t mode) { asm volatile("msr fpcr, %0" ::"r"(mode)); }
#endif

   public:
    FlushDenormals() : before(get()) { set(before | SWITCH); }
    ~FlushDenormals() { set(before); }
};

}  // namespace tinydx
