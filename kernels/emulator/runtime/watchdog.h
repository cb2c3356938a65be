// The watchdog: a loop that touches no memory calls nobody, so only a signal can stop it.
//
// Twice a second of computing a signal interrupts the launch. If the kernel's own code was interrupted, and no access was
// made since the signal before, the loop is endless: `bite` is called on the thread's own stack, and need not return.
#pragma once
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

namespace tinydx {

class Watchdog {
public:
    Watchdog(const char* code, uint64_t bytes, void (*bite)(const char*)) {
        start = code, end = code + bytes, on_endless = bite;
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = look;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;  // left without returning, so the signal must not stay blocked
        sigaction(SIGNAL(), &action, nullptr);
        struct sigevent event;
        memset(&event, 0, sizeof event);
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL();
        event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
        works = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0;
        struct itimerspec half_a_second = {{0, 500'000'000}, {0, 500'000'000}};
        if (works) timer_settime(timer, 0, &half_a_second, nullptr);
    }
    ~Watchdog() {
        if (works) timer_delete(timer);
    }

    static inline volatile bool fed;  // set at every access

private:
    static int SIGNAL() { return SIGRTMIN + 9; }

    static void look(int, siginfo_t*, void* context) {
#if defined(__x86_64__)
        const char* code = (const char*)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
#else
        const char* code = (const char*)((ucontext_t*)context)->uc_mcontext.pc;
#endif
        bool hungry = !fed;
        fed = false;
        if (hungry && code >= start && code < end) on_endless(code + 1);  // as after a call, like all places in reports
    }

    static inline const char *start, *end;
    static inline void (*on_endless)(const char*);
    timer_t timer;
    bool works;
};

}  // namespace tinydx
