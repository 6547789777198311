// Kernels with one fault each. "AT name" marks the line that the error must name.
#include "common.cuh"

extern "C" __global__ void returned_before(float *y, int n) {
    if (static_cast<int>(threadIdx.x) >= n) return;
    __syncthreads();  // AT returned_before
    y[threadIdx.x] = 1.0f;
}

extern "C" __global__ void returned_after(float *y, int n) {
    if (static_cast<int>(threadIdx.x) < n) __syncthreads();  // AT returned_after
    y[threadIdx.x] = 1.0f;
}

extern "C" __global__ void two_barriers(float *y, int n) {
    if (static_cast<int>(threadIdx.x) < n)
        __syncthreads();  // AT two_barriers
    else
        __syncthreads();
    y[threadIdx.x] = 1.0f;
}

extern "C" __global__ void lanes_missing(float *y, int n) {
    float v = 1.0f;
    if (static_cast<int>(threadIdx.x) < n)
        v = __shfl_xor_sync(ALL_LANES, v, 1);  // AT lanes_missing
    y[threadIdx.x] = v;
}

extern "C" __global__ void not_in_mask(float *y, int n) {
    y[threadIdx.x] = __shfl_sync((1u << n) - 1, 1.0f, 0);  // AT not_in_mask
}

extern "C" __global__ void two_masks(float *y, int n) {
    const unsigned int mask = static_cast<int>(threadIdx.x) < n ? ALL_LANES : ALL_LANES - 1;
    y[threadIdx.x] = __shfl_sync(mask, 1.0f, 0);  // AT two_masks
}

extern "C" __global__ void two_operations(float *y, int n) {
    if (static_cast<int>(threadIdx.x) < n)
        y[threadIdx.x] = __shfl_sync(ALL_LANES, 1.0f, 0);  // AT two_operations
    else
        y[threadIdx.x] = static_cast<float>(__any_sync(ALL_LANES, 1));
}

extern "C" __global__ void barrier_or_warp(float *y, int n) {
    if (static_cast<int>(threadIdx.x) < n)
        __syncwarp();  // AT barrier_or_warp
    else
        __syncthreads();
    y[threadIdx.x] = 1.0f;
}

extern "C" __global__ void wild_address(float *y, int n) {
    if (static_cast<int>(threadIdx.x) == n) *(volatile float *)(8ull * threadIdx.x) = 1.0f;
}

extern "C" __global__ void divided_by_zero(float *y, int n) {
    y[threadIdx.x] = static_cast<float>(100 / (static_cast<int>(threadIdx.x) - n));
}

extern "C" __global__ void stack_overflow(float *y, int n) {
    if (static_cast<int>(threadIdx.x) < n) return;
    volatile float local[1 << 16];
    for (int i = 0; i < 1 << 16; ++i) local[i] = 1.0f;
    y[threadIdx.x] = local[n];
}

// ---- what the sanitizers find ------------------------------------------------------------------

extern "C" __global__ void misaligned(const float *x, float *y, int n) {
    const float4 v = *reinterpret_cast<const float4 *>(x + (threadIdx.x == n));  // AT misaligned
    y[threadIdx.x] = v.x;
}

extern "C" __global__ void integer_overflow(const float *x, float *y, int n) {
    const int t = static_cast<int>(threadIdx.x);
    y[t] = static_cast<float>(t + (0x7fffffff - n + 1));  // AT integer_overflow
}

extern "C" __global__ void beyond_array(const float *x, float *y, int n) {
    __shared__ float row[40];
    row[threadIdx.x + 40 - n] = x[threadIdx.x];  // AT beyond_array
    __syncthreads();
    y[threadIdx.x] = row[threadIdx.x];
}

extern "C" __global__ void beyond_global(const float *x, float *y, int n) {
    if (thread_index() == 0) y[n] = x[0];  // AT beyond_global
}

extern "C" __global__ void beyond_static(const float *x, float *y, int n) {
    __shared__ float row[64];
    row[threadIdx.x] = x[threadIdx.x];
    float *anywhere = row;
    anywhere[threadIdx.x + n] = x[0];  // AT beyond_static
    __syncthreads();
    y[threadIdx.x] = row[threadIdx.x];
}

extern "C" __global__ void beyond_dynamic(const float *x, float *y, int n) {
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = row[threadIdx.x + n];  // AT beyond_dynamic
}

extern "C" __global__ void right(float *y, int n) {
    __shared__ float row[1024];
    row[threadIdx.x] = warp_sum(static_cast<float>(threadIdx.x / WARP));
    __syncthreads();
    y[threadIdx.x] = row[blockDim.x - 1 - threadIdx.x];
}

// Arrays on the stack, left there when the launch fails; of the other kernel at other places.
extern "C" __global__ void array_and_return(float *y, int n) {
    volatile float local[4];
    for (int i = 0; i < 4; ++i) local[i] = 1.0f;
    if (static_cast<int>(threadIdx.x) >= n) return;
    __syncthreads();
    y[threadIdx.x] = local[n % 4];
}

extern "C" __global__ void other_array(float *y, int n) {
    volatile float local[256];
    for (int i = 0; i < 256; ++i) local[i] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = local[n];
}

// Fewer threads than a warp has lanes.
extern "C" __global__ void small_block(float *y) {
    const int here = __popc(__ballot_sync(ALL_LANES, 1));
    y[threadIdx.x] = __shfl_xor_sync(ALL_LANES, static_cast<float>(here), 8);
}
