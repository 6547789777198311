// The errors that end a launch, of three lines: what happened, why, and what to do.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "state.h"

namespace simulator {
namespace {

__attribute__((format(printf, 1, 2))) void say(const char *format, ...) {
    const std::size_t used = std::strlen(text);
    va_list values;
    va_start(values, format);
    std::vsnprintf(text + used, sizeof text - used, format, values);
    va_end(values);
}

void say_thread(const Thread &thread) {
    say("thread (%u, %u, %u)", thread.index.x, thread.index.y, thread.index.z);
}

void say_where(const Thread &thread) {
    switch (thread.status) {
        case Status::at_barrier:
            say("waits at the barrier in %s:%d", thread.file, thread.line);
            break;
        case Status::in_warp:
            say("is in %s with mask 0x%08x in %s:%d", thread.name, thread.mask, thread.file,
                thread.line);
            break;
        case Status::returned:
            say("has returned");
            break;
        default:
            say("has not come yet");
    }
}

// "block (0, 0, 0), thread (3, 0, 0) ", about which more is to be said.
void begin_error(const Thread &thread) {
    const Index block = object->state.block;
    text[0] = '\0';
    say("block (%u, %u, %u), ", block.x, block.y, block.z);
    say_thread(thread);
    say(" ");
}

// Leaves all fibers where they stand: a kernel holds nothing that would have to be given back.
[[noreturn]] void end_launch() {
    failed = true;
    switch_fiber(*current->fiber, launcher);
    __builtin_unreachable();
}

[[noreturn]] void fail(const char *what, const char *file, int line) {
    begin_error(*current);
    say("%s in %s:%d\n\n", what, file, line);
    end_launch();
}

[[noreturn]] void fail_pair(const Thread &one, const Thread &other, const char *rule) {
    begin_error(one);
    say_where(one);
    say(", ");
    say_thread(other);
    say(" ");
    say_where(other);
    say("\n%s", rule);
    end_launch();
}

[[noreturn]] void fail_returned_early() {
    const Thread *gone = nullptr, *here = nullptr;
    for (unsigned int i = 0; i < count; ++i) {
        if (threads[i].status == Status::returned && gone == nullptr) gone = &threads[i];
        if (threads[i].status == Status::at_barrier && here == nullptr) here = &threads[i];
    }
    fail_pair(*here, *gone, "all threads of a block must reach a barrier\nguard the work between "
                            "the barriers, and return behind the last one");
}

// No thread can continue. Then one waits in a warp operation: a barrier that all reach opens.
[[noreturn]] void fail_stuck() {
    for (unsigned int i = 0; i < count; ++i) {
        if (threads[i].status != Status::in_warp) continue;
        const unsigned int warp = i / WARP_SIZE * WARP_SIZE;
        for (unsigned int lane = 0; lane < WARP_SIZE && warp + lane < count; ++lane) {
            const Thread &other = threads[warp + lane];
            const bool same = other.status == Status::in_warp && other.mask == threads[i].mask;
            if (threads[i].mask >> lane & 1 && !same)
                fail_pair(threads[i], other, "all lanes of a mask must reach the operation\ngive "
                                             "the mask of the lanes that do, or call it outside "
                                             "the branch");
        }
    }
    begin_error(*current);
    say("waits for ever\n\n");
    end_launch();
}

}  // namespace
}  // namespace simulator
