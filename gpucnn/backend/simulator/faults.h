// Faults of the processor while a kernel runs: an address that is not mapped, a division by zero.
//
// They would end the process. The handler runs on a stack of its own, since the kernel's may be
// what overflowed, and leaves it for the launch's, never to return.
#pragma once

#include <signal.h>

namespace simulator {

typedef void (*FaultHandler)(int signal, const void *address);

#ifndef __SANITIZE_ADDRESS__  // which has handlers of its own

class CatchFaults {
  public:
    explicit CatchFaults(FaultHandler to_call) {
        static thread_local char stack[32 * 1024];
        stack_t own = {};
        own.ss_sp = stack;
        own.ss_size = sizeof stack;
        sigaltstack(&own, &stack_before);
        struct sigaction action = {};
        action.sa_sigaction = caught;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < COUNT; ++i) sigaction(SIGNALS[i], &action, &before[i]);
        handler = to_call;
    }
    ~CatchFaults() {
        handler = nullptr;
        restore();
        sigaltstack(&stack_before, nullptr);
    }
    CatchFaults(const CatchFaults &) = delete;

  private:
    static constexpr int COUNT = 3;
    static constexpr int SIGNALS[COUNT] = {SIGSEGV, SIGBUS, SIGFPE};
    static inline struct sigaction before[COUNT];
    static inline thread_local FaultHandler handler = nullptr;
    stack_t stack_before;

    static void restore() {
        for (int i = 0; i < COUNT; ++i) sigaction(SIGNALS[i], &before[i], nullptr);
    }
    static void caught(int signal, siginfo_t *info, void *) {
        if (handler != nullptr) handler(signal, info->si_addr);
        restore();  // a thread that launches nothing: it faults again, now as without us
    }
};

#else

struct CatchFaults {
    explicit CatchFaults(FaultHandler) {}
};

#endif

}  // namespace simulator
