// The second stage of a sum whose first stage was cut into parts: adds them up in their order, then
// bias and ReLU.
//
//     out[i] = act(bias[i / inner % channels] + sum_part partial[part, i])
//
// Layouts: partial (parts, count), out (count,), bias (channels,) or null.
// Owner:   32 outputs a block. Row r of its 8 rows of threads adds the parts r, r + 8, ... of all
//          32, reading 128 adjacent bytes a part; then the first row adds the rows up. The order
//          depends on the number of parts alone, so the same shapes give the same bits.
// Launch:  ceil(count / 32) blocks of THREADS = 256 threads.
#include "common.cuh"

#define ROWS (THREADS / WARP)

extern "C" __global__ void __launch_bounds__(THREADS)
    sum_parts(const float *__restrict__ partial, const float *__restrict__ bias,
              float *__restrict__ out, index_t count, int parts, index_t inner, int channels,
              int activation) {
    __shared__ float sums[ROWS][WARP];
    const int row = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const index_t i = static_cast<index_t>(blockIdx.x) * WARP + lane;
    float sum = 0.0f;
    if (i < count) {
#pragma unroll 4
        for (int part = row; part < parts; part += ROWS) sum += partial[part * count + i];
    }
    sums[row][lane] = sum;
    __syncthreads();
    if (row > 0 || i >= count) return;
    for (int other = 1; other < ROWS; ++other) sum += sums[other][lane];
    if (bias != nullptr) sum += bias[i / inner % channels];
    out[i] = activation ? relu(sum) : sum;
}
