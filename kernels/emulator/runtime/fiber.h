// Fibers: many stacks in one operating-system thread; a switch between them costs a few nanoseconds.
//
// A CUDA block has up to 1024 threads that stop at barriers. Real threads would be a hundred times slower; with fibers a
// barrier is a jump to the scheduler, which runs another fiber.
#pragma once
#include <stdint.h>
#include <sys/mman.h>

namespace tinydx {

constexpr uint64_t STACK_BYTES = 128 << 10;  // of one fiber; memory that is never used costs nothing
constexpr unsigned MAX_THREADS = 1024;

#if defined(__x86_64__)

struct Fiber {
    void* stack_pointer;
};

// Push the registers that a called function must preserve, switch the stacks, pop the other fiber's registers.
extern "C" void tinydx_switch(void** save, void* load);
asm(R"(
.text
.type tinydx_switch, @function
tinydx_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size tinydx_switch, .-tinydx_switch
)");

inline void switch_fiber(Fiber& from, Fiber& to) { tinydx_switch(&from.stack_pointer, to.stack_pointer); }

// The first switch to a fiber "returns" into entry, with the stack that the ABI prescribes at a function's first instruction.
inline void start_fiber(Fiber& fiber, char* stack, void (*entry)()) {
    void** top = (void**)(stack + STACK_BYTES);
    for (int i = 1; i <= 8; i++) top[-i] = nullptr;
    top[-2] = (void*)entry;
    fiber.stack_pointer = top - 8;
}

#else  // other processors: the C library, with a system call for each switch

}  // namespace tinydx
#include <ucontext.h>
namespace tinydx {

struct Fiber {
    ucontext_t context;
};

inline void switch_fiber(Fiber& from, Fiber& to) { swapcontext(&from.context, &to.context); }

inline void start_fiber(Fiber& fiber, char* stack, void (*entry)()) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stack;
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
}

#endif

// One range of addresses for all stacks, so that "is this address on a stack?" is one comparison.
inline char* reserve(uint64_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : (char*)p;
}

}  // namespace tinydx
