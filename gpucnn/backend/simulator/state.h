// The state of the launch under way: its threads, and where each of them waits.
#pragma once

#include <vector>

#include "fiber.h"
#include "runtime.h"

namespace simulator {
namespace {

enum class Status : unsigned char { fresh, ready, at_barrier, in_warp, returned };

struct Copy {
    char *to;
    const char *from;
    unsigned int size, valid, group;
};

struct Thread {
    Index index;
    Status status;
    bool predicate;
    Fiber *fiber;
    // Where it waits, and for a warp operation what it called.
    const char *file, *name;
    int line;
    unsigned int mask;
    Resolve resolve;
    std::vector<Copy> copies;
    unsigned int groups;  // of copies that were committed
};

// Where the launch under way stands.
Object *object;
Entry entry;
const unsigned long long *arguments;
Thread threads[MOST_THREADS];
Lane lanes[MOST_THREADS];
Fiber fibers[MOST_THREADS];
Fiber launcher;                // the stack that the launch came from
Fiber *idle[MOST_THREADS];     // fibers without a thread
unsigned int started, idling;  // fibers that have a stack; of them idle
unsigned int order[MOST_THREADS];
unsigned int count, cursor, arrived, returned, votes;
unsigned int waiting[MOST_THREADS / WARP_SIZE];  // lanes that wait in a warp operation
Thread *current;

char text[1024];
bool failed;

unsigned int number_of(const Thread &thread) {
    return static_cast<unsigned int>(&thread - threads);
}

}  // namespace
}  // namespace simulator
