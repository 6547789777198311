// The interface between a compiled kernel and the scheduler (runtime.cpp).
//
// Each kernel is compiled to a shared object of its own, without any header of the system, since
// those cost more time than the kernel. It holds one `Object`, in which the runtime sets `services`
// for a launch and `state` whenever another thread of the simulated device goes on.
#pragma once

namespace simulator {

constexpr unsigned int WARP_SIZE = 32;
constexpr unsigned int MOST_THREADS = 1024;  // of a block

struct Index {
    unsigned int x, y, z;
};

// The operand of a lane in a warp operation, and its result.
struct Lane {
    alignas(8) unsigned char given[40];
    alignas(8) unsigned char taken[16];
};

// Computes what every lane takes from what all lanes of the mask gave.
typedef void (*Resolve)(Lane *lanes, unsigned int mask);

struct State {
    Index thread, block, block_size, grid_size;
    unsigned int lane_number;
    Lane *lane;
    void *dynamic_shared;
};

struct Services {
    // Returns when every thread of the block has called it: how many had a true predicate.
    unsigned int (*barrier)(bool predicate, const char *file, int line);
    // Returns when all lanes of the mask have called it and `resolve` has run.
    void (*warp)(unsigned int mask, Resolve resolve, const char *name, const char *file, int line);
    // Asynchronous copies of this thread: of `size` bytes the first `valid` come from `from`, the
    // others are zero. The memory is poisoned now and written by the wait.
    void (*copy)(void *to, const void *from, unsigned int size, unsigned int valid);
    void (*commit_copies)();
    void (*wait_copies)(unsigned int still_pending);  // groups that may stay under way
    // Ends the launch with an error and does not return.
    void (*fail)(const char *what, const char *file, int line);
};

// Each argument begins at a multiple of 8 bytes.
typedef void (*Entry)(const unsigned long long *arguments);

struct Object {
    const Services *services;
    State state;
    char *shared_begin, *shared_end;  // all __shared__ variables
};

struct Request {
    unsigned int grid[3], block[3];
    unsigned int order;         // of threads and of blocks: 0 forward, 1 reverse, 2 shuffled
    unsigned int shared_bytes;  // dynamic shared memory
    unsigned long long arguments[];
};

}  // namespace simulator
