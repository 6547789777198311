// The core of the tiled kernels: one block computes a BM x BN tile of a matrix product.
//
//     sum[m][n] = sum_k A[m][k] * B[k][n]          k in steps of BK
//
// A and B need not lie in memory as matrices. A kernel gathers their next BK columns and rows into
// registers, which hides the latency behind the arithmetic of the step before, then stores them to
// the other one of two buffers in shared memory: one barrier a step.
//
//      memory                      shared memory                  registers of one thread
//
//      A  . . k k k k . .  gather   a[2][BK][BM + PAD]             8 rows of a
//         . . k k k k . .  ------>    m ---------->      \         8 columns of b
//      B  . . . . . . . .             k  . . . . . .      \
//         k k k k k k k k  gather   b[2][BK][BN + PAD]     --->    sum[8][8]: 64 multiply-adds
//         . . . . . . . .  ------>    n ---------->       /        for 4 reads of 16 bytes
//                                     k  . . . . . .     /
//
// Owner:   thread (row, column) owns 8 x 8 results, as two by two squares of 4 x 4: rows from `row`
//          and from BM/2 + row, columns from `column` and from BN/2 + column. A warp is 4 x 8
//          threads, so one of its reads takes 4 x 16 adjacent bytes of a, or 8 x 16 of b: no two
//          words of one bank. Squares of 8 x 8 would be read with a stride and wait for banks.
//          Lanes 2i and 2i + 1 share a column, i and i + 2 a row: such pairs, which read the same
//          16 bytes, let shared memory answer half a warp at once rather than a quarter.
//
//              lanes    0  2  4  6  8 10 12 14
//                       1  3  5  7  9 11 13 15
//                      16 18 20 22 24 26 28 30
//                      17 19 21 23 25 27 29 31
// PAD:     rows of shared memory are 4 floats longer than the tile, so that 8 values of k times 4
//          rows, which a warp stores at once where memory is contiguous along k, lie in 32 banks;
//          4 floats keep the rows aligned to 16 bytes.
// Store:   VECTOR_OUT is 1 if the results of four neighboring columns, from a multiple of four on,
//          are adjacent in memory and aligned to 16 bytes, else 0. A kernel that had both ways
//          would take half as long again to compile.
// Launch:  THREADS = BM*BN/64 threads. Tiles: 128x64, 64x128, 64x64, 32x128.
// Limits:  float32. 384 threads of up to 168 registers are resident on a multiprocessor, or 256 of
//          up to 255.
#pragma once
#include "common.cuh"

#ifndef BM
#define BM 64
#endif
#ifndef BN
#define BN 64
#endif
#define THREADS (BM * BN / 64)
#ifndef VECTOR
#define VECTOR 0
#endif
#ifndef VECTOR_OUT
#define VECTOR_OUT 0
#endif
#define BK 8
#define PAD 4
#define WARPS (THREADS / WARP)
// Blocks a multiprocessor that leave enough registers: a thread needs more of them to load 20
// elements a step, or with 64-bit offsets.
#define RESIDENT ((BM == 32 || sizeof(index_t) > 4 ? 256 : 384) / THREADS)
#define LOADS_A (BM * BK / THREADS)  // elements of a tile that one thread moves in a step
#define LOADS_B (BN * BK / THREADS)

static_assert(BM % 32 == 0 && BN % 64 == 0, "a warp is 4 x 8 threads of two by two squares");

// The thread's first row and first column of the tile.
__device__ inline int tile_row() {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    return (warp / (BN / 64) * 4 + lane / 16 * 2 + lane % 2) * 4;
}

__device__ inline int tile_column() {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    return (warp % (BN / 64) * 8 + lane % 16 / 2) * 4;
}

// One step: sum += a^T b for BK values of k.
__device__ inline void multiply(float (&sum)[8][8], const float (&a)[BK][BM + PAD],
                                const float (&b)[BK][BN + PAD], int row, int column) {
#pragma unroll
    for (int k = 0; k < BK; ++k) {
        const float4 a0 = *reinterpret_cast<const float4 *>(&a[k][row]);
        const float4 a1 = *reinterpret_cast<const float4 *>(&a[k][BM / 2 + row]);
        const float4 b0 = *reinterpret_cast<const float4 *>(&b[k][column]);
        const float4 b1 = *reinterpret_cast<const float4 *>(&b[k][BN / 2 + column]);
        const float rows[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
        const float columns[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
            for (int j = 0; j < 8; ++j) sum[i][j] += rows[i] * columns[j];
    }
}

// A step's elements of a matrix whose element (i, k) is source[start + i * stride + k], contiguous
// along k. A float4 is four values of k; without one, 8 lanes read 8 adjacent values (a sector of
// memory). Zero from i = size and from k = end on.
template <int SIZE>
__device__ inline void load_along_k(float (&next)[SIZE * BK / THREADS], const float *source,
                                    index_t start, index_t stride, int size, int k, int end) {
    if (VECTOR) {
        k += threadIdx.x % 2 * 4;
#pragma unroll
        for (int e = 0; e < SIZE * BK / THREADS; e += 4) {
            const int i = threadIdx.x / 2 + e / 4 * (THREADS / 2);
            float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (i < size && k < end)
                v = *reinterpret_cast<const float4 *>(&source[start + i * stride + k]);
            next[e] = v.x, next[e + 1] = v.y, next[e + 2] = v.z, next[e + 3] = v.w;
        }
    } else {
        k += threadIdx.x % BK;
#pragma unroll
        for (int e = 0; e < SIZE * BK / THREADS; ++e) {
            const int i = threadIdx.x / BK + e * (THREADS / BK);
            next[e] = i < size && k < end ? source[start + i * stride + k] : 0.0f;
        }
    }
}

// Stores the elements of load_along_k transposed: a column of memory is a row of the tile.
template <int SIZE>
__device__ inline void store_along_k(float (&tile)[BK][SIZE + PAD],
                                     const float (&next)[SIZE * BK / THREADS]) {
#pragma unroll
    for (int e = 0; e < SIZE * BK / THREADS; ++e) {
        if (VECTOR)
            tile[threadIdx.x % 2 * 4 + e % 4][threadIdx.x / 2 + e / 4 * (THREADS / 2)] = next[e];
        else
            tile[threadIdx.x % BK][threadIdx.x / BK + e * (THREADS / BK)] = next[e];
    }
}

// The same of a matrix whose element (i, k) is source[start + k * stride + i]: contiguous across k.
template <int SIZE>
__device__ inline void load_across_k(float (&next)[SIZE * BK / THREADS], const float *source,
                                     index_t start, index_t stride, int size, int k, int end) {
    if (VECTOR) {
#pragma unroll
        for (int e = 0; e < SIZE * BK / THREADS; e += 4) {
            const int at = threadIdx.x * 4 + e * THREADS, row = k + at / SIZE, i = at % SIZE;
            float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (i < size && row < end)
                v = *reinterpret_cast<const float4 *>(&source[start + row * stride + i]);
            next[e] = v.x, next[e + 1] = v.y, next[e + 2] = v.z, next[e + 3] = v.w;
        }
    } else {
#pragma unroll
        for (int e = 0; e < SIZE * BK / THREADS; ++e) {
            const int at = threadIdx.x + e * THREADS, row = k + at / SIZE, i = at % SIZE;
            next[e] = i < size && row < end ? source[start + row * stride + i] : 0.0f;
        }
    }
}

template <int SIZE>
__device__ inline void store_across_k(float (&tile)[BK][SIZE + PAD],
                                      const float (&next)[SIZE * BK / THREADS]) {
    if (VECTOR) {
#pragma unroll
        for (int e = 0; e < SIZE * BK / THREADS; e += 4) {
            const int at = threadIdx.x * 4 + e * THREADS;
            *reinterpret_cast<float4 *>(&tile[at / SIZE][at % SIZE]) =
                make_float4(next[e], next[e + 1], next[e + 2], next[e + 3]);
        }
    } else {
#pragma unroll
        for (int e = 0; e < SIZE * BK / THREADS; ++e) {
            const int at = threadIdx.x + e * THREADS;
            tile[at / SIZE][at % SIZE] = next[e];
        }
    }
}

// Writes the tile: out[row * stride + offset(column)] = finish(sum, row, column) for the rows below
// `rows` and the columns below `columns`, counted within the tile.
template <class Offset, class Finish>
__device__ inline void write_tile(const float (&sum)[8][8], float *out, index_t stride, int rows,
                                  index_t columns, Offset offset, Finish finish) {
    const int row0 = tile_row(), column0 = tile_column();
#pragma unroll
    for (int half = 0; half < 8; half += 4) {
        const int first = column0 + half / 4 * (BN / 2);
#pragma unroll
        for (int j = 0; j < 4; j += VECTOR_OUT ? 4 : 1) {
            const int column = first + j;
            if (column >= columns) continue;
            float *const at = out + offset(column);
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                const int row = row0 + i / 4 * (BM / 2) + i % 4;
                if (row >= rows) continue;
                const float *const four = &sum[i][half];
                if (VECTOR_OUT)
                    *reinterpret_cast<float4 *>(at + row * stride) = make_float4(
                        finish(four[0], row, column), finish(four[1], row, column + 1),
                        finish(four[2], row, column + 2), finish(four[3], row, column + 3));
                else
                    at[row * stride] = finish(four[j], row, column);
            }
        }
    }
}
