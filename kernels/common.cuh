// Shared by all kernels: the element type, the index type, thread numbers, small arithmetic.
//
// The launcher chooses `real` from the arrays (#define REAL double) and `index_t` from their size
// (WIDE from 2^30 elements on). A source reads `#include "common.cuh"`; the launcher puts this
// text there, since a compilation cache does not look into included files.
#pragma once

#ifndef REAL
#define REAL float
#endif
typedef REAL real;

#ifdef WIDE
typedef long long index_t;
#else
typedef int index_t;  // offsets into arrays: half the registers and arithmetic of 64 bits
#endif

#define WARP 32
#define ALL_LANES 0xffffffffu

// Shared memory whose size the launch gives. The simulator brings a definition of its own.
#ifndef SHARED_DYNAMIC
#define SHARED_DYNAMIC(type, name) extern __shared__ type name[]
#endif

// The thread's number in a one-dimensional grid.
__device__ inline index_t thread_index() {
    return static_cast<index_t>(blockIdx.x) * static_cast<index_t>(blockDim.x) +
           static_cast<index_t>(threadIdx.x);
}

// The warp's number there. Not thread_index() / WARP: where a warp owns an element, arrays that are
// small enough for an index_t of 32 bits may need more threads than it can count.
__device__ inline index_t warp_index() {
    return static_cast<index_t>(blockIdx.x) * static_cast<index_t>(blockDim.x / WARP) +
           static_cast<index_t>(threadIdx.x / WARP);
}

// The number of threads in a one-dimensional grid: the stride of a loop over all elements.
__device__ inline index_t thread_count() {
    return static_cast<index_t>(gridDim.x) * static_cast<index_t>(blockDim.x);
}

__device__ inline real quiet_nan() { return static_cast<real>(__int_as_float(0x7fc00000)); }

// A NaN is not below zero, so it stays; fmax would drop it.
__device__ inline real relu(real v) { return v < real(0) ? real(0) : v; }

// The sum over a warp, in every lane. A butterfly: the order of the additions is fixed.
__device__ inline real warp_sum(real v) {
    for (int offset = WARP / 2; offset > 0; offset /= 2) v += __shfl_xor_sync(ALL_LANES, v, offset);
    return v;
}
