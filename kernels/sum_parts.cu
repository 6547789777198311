// The second stage of a sum whose first stage was cut into parts: adds them up in their order, then
// bias and ReLU.
//
//     out[i] = act(bias[i / inner % channels] + sum_part partial[part, i])
//
// Layouts: partial (parts, count), out (count,), bias (channels,) or null.
// Owner:   THREADS / ROWS outputs a block, a column of threads each. Row r of the threads adds the
//          parts r, r + ROWS, ...; then the first row adds the rows up. ROWS follows from the
//          number of parts, so the order does too: the same shapes give the same bits.
// Launch:  ceil(count / (THREADS / ROWS)) blocks of THREADS = 256 threads.
// Traffic: 4 bytes a part and output.
// Ladder:  1. ROWS = 1: one thread, one output. Enough where there are few parts of many outputs.
//          2. ROWS = 8: many parts mostly come with few outputs, so 8 threads add one output. A
//             warp still reads 128 adjacent bytes a part.
//
// Constants: ROWS: 1 or 8.
#include "common.cuh"

#ifndef ROWS
#define ROWS 8
#endif
#define COLUMNS (THREADS / ROWS)

extern "C" __global__ void __launch_bounds__(THREADS)
    sum_parts(const float *__restrict__ partial, const float *__restrict__ bias,
              float *__restrict__ out, index_t count, int parts, index_t inner, int channels,
              int activation) {
    __shared__ float sums[ROWS][COLUMNS];
    const int row = threadIdx.x / COLUMNS, column = threadIdx.x % COLUMNS;
    const index_t i = static_cast<index_t>(blockIdx.x) * COLUMNS + column;
    float sum = 0.0f;
    if (i < count) {
#pragma unroll 4
        for (int part = row; part < parts; part += ROWS) sum += partial[part * count + i];
    }
    sums[row][column] = sum;
    __syncthreads();
    if (row > 0 || i >= count) return;
    for (int other = 1; other < ROWS; ++other) sum += sums[other][column];
    if (bias != nullptr) sum += bias[i / inner % channels];
    out[i] = activation ? relu(sum) : sum;
}
