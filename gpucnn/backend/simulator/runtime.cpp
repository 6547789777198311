// The scheduler of the simulated device.
//
// Blocks run one after another. The threads of a block run in turns on fibers: a thread keeps its
// fiber until it waits at a barrier or in a warp operation; then the next thread that can continue
// does so, in the order of the launch. Threads that never wait share one fiber and cost a call each.
//
// Undefined behavior of a GPU ends the launch with an error that names block and thread.
#include "runtime.h"

#include <cstdlib>
#include <cstring>

#include "errors.h"
#include "faults.h"
#include "state.h"

namespace simulator {
namespace {

// ---- choosing who goes on ----------------------------------------------------------------------

Thread *next_runnable() {
    for (unsigned int tried = 0; tried < count; ++tried) {
        if (cursor == count) cursor = 0;
        Thread &thread = threads[order[cursor++]];
        if (thread.status <= Status::ready) return &thread;
    }
    return nullptr;
}

void make_current(Thread &thread) {
    current = &thread;
    const unsigned int number = number_of(thread);
    object->state.thread = thread.index;
    object->state.lane_number = number % WARP_SIZE;
    object->state.lane = &lanes[number];
}

void fiber_main();

Fiber *take_fiber() {
    if (idling == 0) {
        fibers[started].start(fiber_main);
        idle[idling++] = &fibers[started++];
    }
    return idle[--idling];
}

// The current thread stops here until it is ready and its turn comes.
void wait() {
    Thread &me = *current;
    Thread *next = next_runnable();
    if (next == nullptr) fail_stuck();
    if (next->status == Status::fresh) {
        next->fiber = take_fiber();
        next->status = Status::ready;
    }
    make_current(*next);
    if (next != &me) switch_fiber(*me.fiber, *next->fiber);
}

// Runs fresh threads until one of other fibers is to go on; then waits for another fresh one.
void fiber_main() {
    fiber_begins();
    for (;;) {
        entry(arguments);
        Thread &me = *current;
        me.status = Status::returned;
        ++returned;
        if (arrived > 0) fail_returned_early();
        Thread *next = next_runnable();
        if (next == nullptr && returned < count) fail_stuck();
        if (next != nullptr && next->status == Status::fresh) {
            next->fiber = me.fiber;
            next->status = Status::ready;
            make_current(*next);
            continue;
        }
        idle[idling++] = me.fiber;
        if (next != nullptr) make_current(*next);
        switch_fiber(*me.fiber, next == nullptr ? launcher : *next->fiber);
    }
}

// ---- services ----------------------------------------------------------------------------------

unsigned int barrier(bool predicate, const char *file, int line) {
    Thread &me = *current;
    me.file = file;
    me.line = line;
    me.predicate = predicate;
    me.status = Status::at_barrier;
    if (returned > 0) fail_returned_early();
    if (++arrived < count) {
        wait();
        return votes;
    }
    votes = 0;
    for (unsigned int i = 0; i < count; ++i) {
        const Thread &other = threads[i];
        if (other.line != line || std::strcmp(other.file, file) != 0)
            fail_pair(me, other, "all threads of a block must reach the same barrier\nput one "
                                 "__syncthreads where the branches meet");
        votes += other.predicate;
    }
    for (unsigned int i = 0; i < count; ++i) threads[i].status = Status::ready;
    arrived = 0;
    wait();  // the others come first: it was the last of its round
    return votes;
}

void warp(unsigned int mask, Resolve resolve, const char *name, const char *file, int line) {
    Thread &me = *current;
    const unsigned int number = number_of(me), lane = number % WARP_SIZE;
    const unsigned int first = number - lane;
    if (!(mask >> lane & 1)) {
        begin_error(me);
        say("calls %s in %s:%d with mask 0x%08x\nits own lane %u is not in the mask\n", name, file,
            line, mask, lane);
        end_launch();
    }
    // Lanes that a small block does not have count as having come.
    if (count - first < WARP_SIZE) mask &= (1u << (count - first)) - 1;
    me.file = file;
    me.line = line;
    me.name = name;
    me.mask = mask;
    me.resolve = resolve;
    me.status = Status::in_warp;
    unsigned int &here = waiting[first / WARP_SIZE];
    here |= 1u << lane;
    if ((here & mask) != mask) {
        wait();
        return;
    }
    for (unsigned int i = 0; i < WARP_SIZE; ++i) {
        if (!(mask >> i & 1)) continue;
        const Thread &other = threads[first + i];
        if (other.mask != mask || other.resolve != resolve || other.line != line ||
            other.name != name)
            fail_pair(me, other, "all lanes of a mask must be in one operation with one mask\ngive "
                                 "each branch the mask of its lanes");
    }
    resolve(lanes + first, mask);
    for (unsigned int i = 0; i < WARP_SIZE; ++i)
        if (mask >> i & 1) threads[first + i].status = Status::ready;
    here &= ~mask;
    wait();
}

void poison(void *begin, std::size_t size) {
    std::memset(begin, 0xff, size);  // NaN as a float, -1 as an integer
}

void copy(void *to, const void *from, unsigned int size, unsigned int valid) {
    poison(to, size);
    current->copies.push_back(
        {static_cast<char *>(to), static_cast<const char *>(from), size, valid, current->groups});
}

void commit_copies() { ++current->groups; }

void wait_copies(unsigned int still_pending) {
    Thread &me = *current;
    std::size_t done = 0;
    for (; done < me.copies.size(); ++done) {
        const Copy &c = me.copies[done];
        if (c.group + still_pending >= me.groups) break;
        std::memcpy(c.to, c.from, c.valid);
        std::memset(c.to + c.valid, 0, c.size - c.valid);
    }
    me.copies.erase(me.copies.begin(), me.copies.begin() + static_cast<std::ptrdiff_t>(done));
}

const Services services = {barrier, warp, copy, commit_copies, wait_copies, fail};

// ---- faults of the processor -------------------------------------------------------------------

void on_fault(int signal, const void *address) {
    begin_error(*current);
    if (signal == SIGFPE)
        say("divides an integer by zero\n");
    else
        say("touches memory that is not its own, near address %p\nan index or an alignment is "
            "wrong, or the arrays on its stack are too large", address);
    say("\nrun it with GPUCNN_SIM_SANITIZE=undefined or =address, which name the line");
    end_launch();
}

// ---- launches ----------------------------------------------------------------------------------

unsigned int random_below(unsigned int limit) {
    static unsigned long long state = 1;  // Knuth's MMIX generator; its high bits are good
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<unsigned int>((state >> 33) % limit);
}

// The `step`-th of `n` blocks: b * step + c modulo n with b and n coprime, which is a permutation.
struct BlockOrder {
    unsigned long long n, b, c;

    BlockOrder(unsigned long long n, unsigned int order) : n(n), b(1), c(0) {
        if (order == 1) b = n - 1, c = n - 1;
        if (order == 2 && n > 2) {
            do b = 1 + random_below(static_cast<unsigned int>(n < 1u << 30 ? n - 1 : 1u << 30));
            while (common_divisor(b, n) != 1);
            c = random_below(1u << 30) % n;
        }
    }
    unsigned long long operator()(unsigned long long step) const {
        return static_cast<unsigned long long>((static_cast<__uint128_t>(b) * step + c) % n);
    }
    static unsigned long long common_divisor(unsigned long long a, unsigned long long b) {
        return b == 0 ? a : common_divisor(b, a % b);
    }
};

void prepare_threads(const Request &request) {
    const unsigned int *block = request.block;
    count = block[0] * block[1] * block[2];
    for (unsigned int i = 0; i < count; ++i) {
        threads[i].index = {i % block[0], i / block[0] % block[1], i / (block[0] * block[1])};
        order[i] = request.order == 1 ? count - 1 - i : i;
    }
}

void run_block(unsigned int thread_order) {
    if (thread_order == 2)
        for (unsigned int i = count - 1; i > 0; --i) {
            const unsigned int j = random_below(i + 1), kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
    for (unsigned int i = 0; i < count; ++i) {
        threads[i].status = Status::fresh;
        threads[i].groups = 0;
        threads[i].copies.clear();
    }
    std::memset(waiting, 0, sizeof waiting);
    cursor = arrived = returned = 0;
    Thread &first = *next_runnable();
    first.fiber = take_fiber();
    first.status = Status::ready;
    make_current(first);
    switch_fiber(launcher, *first.fiber);
}

#ifdef GPUCNN_ASAN
__attribute__((no_sanitize_address))
#endif
void poison_static(char *begin, char *end) {
#ifdef GPUCNN_ASAN  // red zones lie between the variables; memset would report them
    for (volatile char *byte = begin; byte < end; ++byte) *byte = static_cast<char>(0xff);
#else
    poison(begin, static_cast<std::size_t>(end - begin));
#endif
}

// -DGPUCNN_ROUGH: denormals are zero while a kernel runs, as operands and as results.
struct FlushDenormals {
#ifdef GPUCNN_ROUGH
    const unsigned int before = __builtin_ia32_stmxcsr();
    FlushDenormals() { __builtin_ia32_ldmxcsr(before | 0x8040); }
    ~FlushDenormals() { __builtin_ia32_ldmxcsr(before); }
#endif
};

}  // namespace
}  // namespace simulator

using namespace simulator;

// Runs a kernel to its end: nullptr, or the text of an error. One launch at a time.
extern "C" __attribute__((visibility("default"))) const char *gpucnn_launch(
    Object *launched, Entry kernel, const Request *request) {
    object = launched;
    object->services = &services;
    entry = kernel;
    arguments = request->arguments;
    failed = false;
    adopt_stack(launcher);
    prepare_threads(*request);
    const unsigned int *grid = request->grid, *block = request->block;
    State &state = object->state;
    state.grid_size = {grid[0], grid[1], grid[2]};
    state.block_size = {block[0], block[1], block[2]};
    // Exactly as large as requested, so that ASan sees the first byte beyond.
    void *dynamic = nullptr;
    if (posix_memalign(&dynamic, 128, request->shared_bytes + !request->shared_bytes) != 0)
        std::abort();
    state.dynamic_shared = dynamic;
    const unsigned long long blocks = 1ull * grid[0] * grid[1] * grid[2];
    const BlockOrder at(blocks, request->order);
    {
        const CatchFaults faults(on_fault);
        const FlushDenormals flush;
        for (unsigned long long step = 0; step < blocks && !failed; ++step) {
            const unsigned long long b = at(step);
            state.block = {static_cast<unsigned int>(b % grid[0]),
                           static_cast<unsigned int>(b / grid[0] % grid[1]),
                           static_cast<unsigned int>(b / grid[0] / grid[1])};
            poison_static(object->shared_begin, object->shared_end);
            poison(dynamic, request->shared_bytes);
            run_block(request->order);
        }
    }
    std::free(dynamic);
    if (!failed) return nullptr;
    idling = 0;
    for (unsigned int i = 0; i < started; ++i) {
        fibers[i].start(fiber_main);
        idle[idling++] = &fibers[i];
    }
    return text;
}
