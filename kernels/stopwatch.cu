// Kernels for timing; they compute nothing of use.
//
// fma_loop: as many multiply-adds as a GPU can do: CHAINS independent ones a thread hide the
// latency of each other. A thread's chains start at its number in the grid and the ones after it.
//
//     v <- v * a + b, `turns` times;  out[thread] = sum of the chains
//
// hold: one thread keeps the GPU busy for `cycles`, while the host queues the launches to time.
//
// Layout:  out is (threads of the grid,).
// Owner:   one thread, one element.
// Work:    2 CHAINS turns operations a thread; memory is not touched until the end.
// Ladder:  a loop has 3 to 6 instructions that are not multiply-adds. NVRTC unrolls 4 turns by
//          itself: 3 of 35 instructions with 8 chains on sm_90, a ceiling that is 9 % too low. With
//          64 turns unrolled it is 3 of 515, in 8 KB of code.
#include "common.cuh"

#ifndef CHAINS
#define CHAINS 8
#endif

extern "C" __global__ void fma_loop(real *__restrict__ out, real a, real b, int turns) {
    const index_t thread = thread_index();
    real v[CHAINS];
#pragma unroll
    for (int j = 0; j < CHAINS; ++j) v[j] = real(thread + j);
#pragma unroll 64
    for (int i = 0; i < turns; ++i) {
#pragma unroll
        for (int j = 0; j < CHAINS; ++j) v[j] = v[j] * a + b;
    }
    real sum = 0;
#pragma unroll
    for (int j = 0; j < CHAINS; ++j) sum += v[j];
    out[thread] = sum;
}

extern "C" __global__ void hold(long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) {
    }
}
