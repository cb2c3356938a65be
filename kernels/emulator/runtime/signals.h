// Signals: they end a thread that never calls the runtime.
//
// The watchdog: a loop without memory accesses never calls the runtime, so only a signal can stop it.
//
// After each quarter of a second of computing, a signal interrupts the launch. If it interrupted the kernel's own code, and
// there was no access since the four signals before, the loop is endless: `bite` is called on the thread's own stack, and
// need not return. It takes four signals, each timed from the one before, because the clock of a virtual machine may jump
// after a pause, in which the kernel had no time for an access.
#pragma once
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

namespace tinydx {

// Where a signal interrupted the program.
inline const char* code_of(void* context) {
#if defined(__x86_64__)
    return (const char*)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
#else
    return (const char*)((ucontext_t*)context)->uc_mcontext.pc;
#endif
}

class Watchdog {
public:
    Watchdog(const char* code, uint64_t bytes, void (*bite)(const char*)) {
        start = code, end = code + bytes, on_endless = bite;
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = look;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;  // the handler may not return, so the signal must not stay blocked
        sigaction(SIGNAL(), &action, nullptr);
        struct sigevent event;
        memset(&event, 0, sizeof event);
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL();
        event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
        works = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0;
        looks = 0;
        wait();
    }
    ~Watchdog() {
        if (works) timer_delete(timer);
    }

    static inline volatile bool fed;  // set at every access

private:
    static int SIGNAL() { return SIGRTMIN + 9; }

    static void wait() {
        struct itimerspec quarter_of_a_second = {{0, 0}, {0, 250'000'000}};
        if (works) timer_settime(timer, 0, &quarter_of_a_second, nullptr);
    }

    static void look(int, siginfo_t*, void* context) {
        const char* code = code_of(context);
        looks = fed ? 0 : looks + 1;
        fed = false;
        wait();
        if (looks >= 4 && code >= start && code < end) on_endless(code + 1);  // like a return address, as all places in reports
    }

    static inline const char *start, *end;
    static inline void (*on_endless)(const char*);
    static inline timer_t timer;
    static inline bool works;
    static inline int looks;  // signals in a row without an access between them
};

// The lowest page of each stack is protected: a thread that reaches it causes a signal, which is handled on another stack.
class StackGuard {
public:
    StackGuard(char* stacks, uint64_t bytes, uint64_t each, void (*on_overflow)(const char*)) {
        if (!guarded)
            for (char* stack = stacks; stack < stacks + bytes; stack += each) mprotect(stack, PAGE, PROT_NONE);
        guarded = true, first = stacks, size = bytes, stride = each, report = on_overflow;
        stack_t own = {};
        own.ss_sp = handler_stack, own.ss_size = sizeof handler_stack;
        sigaltstack(&own, &stack_before);
        struct sigaction action = {};
        action.sa_sigaction = look;
        action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
        sigaction(SIGSEGV, &action, &before);
    }
    ~StackGuard() {
        sigaction(SIGSEGV, &before, nullptr);
        sigaltstack(&stack_before, nullptr);
    }

private:
    static constexpr uint64_t PAGE = 4096;

    static void look(int, siginfo_t* what, void* context) {
        uint64_t at = (char*)what->si_addr - first;
        if (at < size && at % stride < PAGE) report(code_of(context) + 1);
        sigaction(SIGSEGV, &before, nullptr);  // another cause: the fault happens again and is handled as before
    }

    static inline bool guarded;
    static inline char* first;
    static inline uint64_t size, stride;
    static inline void (*report)(const char*);
    static inline struct sigaction before;
    static inline stack_t stack_before;
    alignas(16) static inline char handler_stack[64 << 10];
};

}  // namespace tinydx
