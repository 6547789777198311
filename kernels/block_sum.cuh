// The sum over the threads of a block, in pairs: the order of the additions is fixed.
//
// Constants: THREADS, a power of two.
#pragma once

#ifndef THREADS
#define THREADS 256
#endif

// The sum over the block's threads, in each of them. sums has THREADS elements.
__device__ inline double block_sum(double *sums, double value) {
    const int thread = threadIdx.x;
    sums[thread] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (thread < half) sums[thread] += sums[thread + half];
        __syncthreads();
    }
    return sums[0];
}
