// The algorithm "shared": a matrix product in tiles of 16 x 16 that go through shared memory.
//
//     product[row][column] = sum_k A(row, k) * B(k, column)          k in steps of TILE
//
//      memory                    shared memory             one thread
//
//      A  . . k k k k . .         a[TILE][TILE]
//         . . k k k k . .  ---->    row a[row][k] ---->
//                                                          sum += a[row][k] * b[k][column]
//      B  . . . . . . . .         b[TILE][TILE]            for the TILE values of k
//         k k k k k k k k  ---->    column b[k][column] ->
//         . . . . . . . .
//
// Owner:   a block computes a tile of TILE x TILE outputs; thread (threadIdx.y, threadIdx.x) owns
//          the output of that row and that column of the tile.
// Staged:  in a step each thread reads one element of A and one of B from global memory and writes
//          them to shared memory, where the TILE threads of a row and of a column read them.
// Gain:    naive reads two elements of global memory for a multiply-add, this algorithm for TILE of
//          them: 16 times less traffic.
// Next:    every multiply-add still reads two values of shared memory, whose bandwidth now limits
//          the speed. The tiled algorithm (tile.cuh) keeps 8 x 8 outputs in the registers of a
//          thread, so that 16 values serve 64 multiply-adds; it reads the next step from global
//          memory while it computes this one, and cuts a long sum into parts.
#pragma once
#include "common.cuh"

#define TILE 16

// The output of the calling thread; all threads of the block call this.
//
// A and B need not lie in memory as matrices: load_a(k) returns element (row, k) of the row of the
// thread, load_b(k) element (k, column) of its column. Neither is called if has_row, or has_column,
// is false, as in a tile that extends beyond the result.
template <class LoadA, class LoadB>
__device__ inline real tile_product(real (&a)[TILE][TILE], real (&b)[TILE][TILE], index_t K,
                                    bool has_row, bool has_column, LoadA load_a, LoadB load_b) {
    const int row = threadIdx.y, column = threadIdx.x;
    real sum = 0;
    for (index_t k0 = 0; k0 < K; k0 += TILE) {
        a[row][column] = has_row && k0 + column < K ? load_a(k0 + column) : real(0);
        b[row][column] = has_column && k0 + row < K ? load_b(k0 + row) : real(0);
        __syncthreads();  // all threads have written
        for (int k = 0; k < TILE; ++k) sum += a[row][k] * b[k][column];
        __syncthreads();  // all threads have read
    }
    return sum;
}
