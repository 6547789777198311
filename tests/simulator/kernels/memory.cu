// Shared memory, its poison, and asynchronous copies into it.
#include "common.cuh"
#include "ptx.cuh"

#ifndef BARRIER
#define BARRIER 1
#endif
#ifndef FIRST
#define FIRST 0
#endif
#ifndef VALID
#define VALID 16
#endif

// y[t] is x[t - 1] by way of shared memory. Without its barrier it depends on the order.
extern "C" __global__ void neighbor(const float *x, float *y) {
    __shared__ float row[64];
    row[threadIdx.x] = x[threadIdx.x];
#if BARRIER
    __syncthreads();
#endif
    y[threadIdx.x] = threadIdx.x > 0 ? row[threadIdx.x - 1] : 0.0f;
}

// The first block writes, the others read what it left behind.
extern "C" __global__ void stale(float *y) {
    __shared__ float value;
    __shared__ __align__(16) double many[33];
    __shared__ int never_written;
    SHARED_DYNAMIC(float, dynamic);
    if (blockIdx.x == FIRST) {
        value = 1.0f;
        many[32] = 2.0;
        dynamic[3] = 3.0f;
    }
    float *out = y + 4 * blockIdx.x;
    out[0] = value;
    out[1] = static_cast<float>(many[32]);
    out[2] = dynamic[3];
    out[3] = static_cast<float>(never_written);
}

// Two groups of copies; PENDING of them may be under way when they are read.
extern "C" __global__ void copies(const float *x, float *y) {
    __shared__ __align__(16) float four[4], eight[4], sixteen[4];
    copy_async<4>(&four[threadIdx.x], x + threadIdx.x);
    if (threadIdx.x % 2 == 0) copy_async<8>(&eight[threadIdx.x], x + threadIdx.x, VALID / 2);
    copy_commit();
    if (threadIdx.x == 0) copy_async<16>(sixteen, x, VALID);
    copy_commit();
#ifdef PENDING
    copy_wait<PENDING>();
#endif
    __syncthreads();
    y[threadIdx.x] = four[threadIdx.x];
    y[4 + threadIdx.x] = eight[threadIdx.x];
    y[8 + threadIdx.x] = sixteen[threadIdx.x];
}

// The second copy into a buffer, which holds the first, may arrive at any time until the wait.
extern "C" __global__ void copy_again(const float *x, float *y) {
    __shared__ float buffer[4];
    for (int i = 0; i < 2; ++i) {
        copy_async<4>(&buffer[threadIdx.x], x + threadIdx.x);
        copy_commit();
        if (i == 0) copy_wait<0>();
        __syncthreads();
        y[4 * i + threadIdx.x] = buffer[threadIdx.x];
    }
}

extern "C" __global__ void copy_misaligned(const float *x, float *y) {
    __shared__ __align__(16) float row[8];
    copy_async<16>(row, x + 1);  // AT copy_misaligned
}
