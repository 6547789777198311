// Kernels whose launches CUDA limits.
#include "common.cuh"

#ifndef MOST
#define MOST 64
#endif

extern "C" __global__ void __launch_bounds__(MOST, 2) bounded(float *y) { y[threadIdx.x] = 1.0f; }

extern "C" __global__ void unbounded(float *y) { y[threadIdx.x] = 1.0f; }

extern "C" __global__ void dynamic(float *y) {
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = 1.0f;
    y[threadIdx.x] = row[threadIdx.x];
}

// z = x + y. It may be x, but not y.
extern "C" __global__ void sum(const float *x, const float *__restrict__ y, float *__restrict__ z) {
    z[threadIdx.x] = x[threadIdx.x] + (y ? y[threadIdx.x] : 0.0f);
}
