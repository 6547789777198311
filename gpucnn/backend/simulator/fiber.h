// Stacks that can be switched between: the assembly of x86-64, or ucontext anywhere else.
//
// ucontext asks the system for the signal mask at every switch, which makes it several times
// slower. -DGPUCNN_UCONTEXT chooses it where it is not needed, to test it.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#define GPUCNN_ASAN 1
#endif

#if !defined(__x86_64__) && !defined(GPUCNN_UCONTEXT)
#define GPUCNN_UCONTEXT 1
#endif
#ifdef GPUCNN_UCONTEXT
#include <ucontext.h>
#endif

namespace simulator {

#ifdef GPUCNN_ASAN
constexpr std::size_t STACK_BYTES = 512 * 1024;  // ASan's frames are several times as large
#else
constexpr std::size_t STACK_BYTES = 64 * 1024;
#endif
constexpr std::size_t GUARD_BYTES = 64 * 1024;  // whole pages, at least what a compiler probes by

struct Fiber {
#ifdef GPUCNN_UCONTEXT
    ucontext_t context;
#else
    void *stack_pointer;
#endif
    char *stack = nullptr;  // lowest address; nullptr for the thread that the launch came from
    std::size_t size = 0;
    void *fake_stack = nullptr;  // ASan's

    // Gives it a stack, above memory that faults, on which `main` is to run; it never returns.
    void start(void (*main)());
};

#ifndef GPUCNN_UCONTEXT

extern "C" void gpucnn_switch(void **save, void *load);

// Keeps what the System V ABI lets a function rely on after a call, and returns on another stack.
asm(R"(
.text
.hidden gpucnn_switch
.globl gpucnn_switch
.type gpucnn_switch, @function
gpucnn_switch:
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
.size gpucnn_switch, .-gpucnn_switch
)");

#endif

inline void Fiber::start(void (*main)()) {
    if (stack == nullptr) {
        void *memory = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) __builtin_trap();
        mprotect(memory, GUARD_BYTES, PROT_NONE);
        stack = static_cast<char *>(memory) + GUARD_BYTES;
        size = STACK_BYTES;
    }
#ifdef GPUCNN_ASAN
    fake_stack = nullptr;
#endif
#ifdef GPUCNN_UCONTEXT
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = size;
    context.uc_link = nullptr;
    makecontext(&context, main, 0);
#else
    // As if `main` had been called: the stack is 16 bytes aligned plus the return address.
    void **top = reinterpret_cast<void **>(stack + size);
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(main);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    stack_pointer = top;
#endif
}

// Goes on with `to`; returns when someone switches back to `from`.
inline void switch_fiber(Fiber &from, Fiber &to) {
#ifdef GPUCNN_ASAN
    __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.size);
#endif
#ifdef GPUCNN_UCONTEXT
    swapcontext(&from.context, &to.context);
#else
    gpucnn_switch(&from.stack_pointer, to.stack_pointer);
#endif
#ifdef GPUCNN_ASAN
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

// To be called first on a fiber that was started.
inline void fiber_begins() {
#ifdef GPUCNN_ASAN
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

// Makes `fiber` stand for the stack that the caller runs on.
inline void adopt_stack(Fiber &fiber) {
#ifdef GPUCNN_ASAN
    pthread_attr_t attributes;
    void *bottom = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &fiber.size);
    pthread_attr_destroy(&attributes);
    fiber.stack = static_cast<char *>(bottom);
#else
    (void)fiber;
#endif
}

}  // namespace simulator
