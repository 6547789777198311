// Matrix product with bias and ReLU fused.
//
//     c[m,n] = act(bias[n] + sum_k A[m,k] * B[k,n])
//
// Layouts: A is a (M, K), or the transpose of a (K, M) with TRANSPOSE_A; B is b (K, N), or the
//          transpose of b (N, K) with TRANSPOSE_B; bias (N,) or null; c (M, N).
//
// The ladder:
//   naive    One thread, one output, in float or double: two loads a multiply-add. The oracle.
//   shared   16 x 16 outputs a block, in float or double (shared.cuh): an element that a block
//            loads serves 16 multiply-adds. Loads coalesce where an operand is not transposed.
//   tiled    BM x BN outputs a block, 8 x 8 a thread, in float (tile.cuh). An operand that is
//            contiguous along k is transposed on its way to shared memory. A product of few tiles,
//            such as the 64 x 9216 by 9216 x 128 of a first dense layer, is cut along K into parts
//            (gridDim.z) that sum_parts adds in their order, so that all multiprocessors have work.
//
// Constants:
//   TRANSPOSE_A, TRANSPOSE_B: 0 or 1.
//   tiled    BM, BN (tile.cuh); VECTOR: 1 if the rows of a and of b are multiples of 4 floats
//            and aligned to 16 bytes, else 0; VECTOR_OUT: the same of the rows of c.
#include "shared.cuh"
#include "tile.cuh"

#ifndef TRANSPOSE_A
#define TRANSPOSE_A 0
#endif
#ifndef TRANSPOSE_B
#define TRANSPOSE_B 0
#endif

// Launch: one-dimensional, M*N threads or more.
extern "C" __global__ void matmul_naive(const real *__restrict__ a, const real *__restrict__ b,
                                        const real *__restrict__ bias, real *c, int M, int N, int K,
                                        int activation) {
    const index_t i = thread_index();
    if (i >= static_cast<index_t>(M) * N) return;
    const index_t m = i / N, n = i % N;
    real sum = bias == nullptr ? real(0) : bias[n];
    for (index_t k = 0; k < K; ++k)
        sum += a[TRANSPOSE_A ? k * M + m : m * K + k] * b[TRANSPOSE_B ? n * K + k : k * N + n];
    c[i] = activation ? relu(sum) : sum;
}

// Launch: grid ceil(M / TILE) * ceil(N / TILE), TILE x TILE threads.
extern "C" __global__ void matmul_shared(const real *__restrict__ a, const real *__restrict__ b,
                                         const real *__restrict__ bias, real *c, int M, int N,
                                         int K, int activation) {
    __shared__ real tile_a[TILE][TILE];
    __shared__ real tile_b[TILE][TILE];
    const int tiles = (N + TILE - 1) / TILE;
    const index_t m = blockIdx.x / tiles * TILE + threadIdx.y;
    const index_t n = blockIdx.x % tiles * TILE + threadIdx.x;
    real sum = tile_product(
        tile_a, tile_b, K, m < M, n < N,
        [&](index_t k) { return a[TRANSPOSE_A ? k * M + m : m * K + k]; },
        [&](index_t k) { return b[TRANSPOSE_B ? n * K + k : k * N + n]; });
    if (m >= M || n >= N) return;
    if (bias != nullptr) sum += bias[n];
    c[m * N + n] = activation ? relu(sum) : sum;
}

// Part z of K, `depth` long, goes to c + z * (M*N): with one part c itself, else a workspace.
// Launch: grid (ceil(M / BM) * ceil(N / BN), 1, parts), THREADS threads.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    matmul_tiled(const float *__restrict__ a, const float *__restrict__ b,
                 const float *__restrict__ bias, float *__restrict__ c, int M, int N, int K,
                 int activation, int depth) {
    __shared__ __align__(16) float tile_a[2][BK][BM + PAD];
    __shared__ __align__(16) float tile_b[2][BK][BN + PAD];
    const int tiles = (N + BN - 1) / BN;
    const int m0 = blockIdx.x / tiles * BM, n0 = blockIdx.x % tiles * BN;
    const int rows = M - m0, columns = N - n0;
    const int begin = blockIdx.z * depth, end = begin + min(K - begin, depth);

    float next_a[LOADS_A], next_b[LOADS_B], sum[8][8] = {};
    const int row = tile_row(), column = tile_column();
    const auto load = [&](int k) {
        if (TRANSPOSE_A)
            load_across_k<BM>(next_a, a, m0, M, rows, k, end);
        else
            load_along_k<BM>(next_a, a, static_cast<index_t>(m0) * K, K, rows, k, end);
        if (TRANSPOSE_B)
            load_along_k<BN>(next_b, b, static_cast<index_t>(n0) * K, K, columns, k, end);
        else
            load_across_k<BN>(next_b, b, n0, N, columns, k, end);
    };
    const auto store = [&](int buffer) {
        if (TRANSPOSE_A)
            store_across_k<BM>(tile_a[buffer], next_a);
        else
            store_along_k<BM>(tile_a[buffer], next_a);
        if (TRANSPOSE_B)
            store_along_k<BN>(tile_b[buffer], next_b);
        else
            store_across_k<BN>(tile_b[buffer], next_b);
    };
    load(begin);
    store(0);
    __syncthreads();
    for (int k = begin, buffer = 0; k < end; k += BK, buffer ^= 1) {
        load(k + BK);
        multiply(sum, tile_a[buffer], tile_b[buffer], row, column);
        store(buffer ^ 1);
        __syncthreads();
    }

    c += static_cast<index_t>(blockIdx.z) * M * N + static_cast<index_t>(m0) * N + n0;
    write_tile(
        sum, c, N, rows, columns,
        [](int column) { return column; },
        [&](float v, int, int column) {
            if (bias != nullptr) v += bias[n0 + column];
            return activation ? relu(v) : v;
        });
}
