// Convolution (cross-correlation) with bias and ReLU fused.
//
//     y[n,f,oh,ow] = act(b[f] + sum_{c,kh,kw} x[n, c0+c, oh*s+kh*d-p, ow*s+kw*d-p] * w[f,c,kh,kw])
//
// where c0 is the first channel of f's group, and pixels in the padding are 0.
//
// Layouts: x (N, C, H, W), w (F, C/groups, KH, KW), b (F,) or null, y (N, F, OH, OW).
//
// The ladder:
//   naive    One thread, one output, in float or double. Each multiply-add loads its x and its w,
//            so that loads set the speed. The oracle of the other algorithms on a GPU.
//   shared   An implicit matrix product in tiles of 16 x 16, in float or double (shared.cuh). An
//            element that a block loads serves 16 multiply-adds.
//
//                 w (F/groups, K)          columns (K, N*OH*OW)        K = C/groups * KH * KW
//                   k ------>                  pixel ------>
//                 f . . . .               k    . . . . . . . .
//                   . . . .            c,kh,kw . . . . . . . .    gathered from x: k says which
//                                              . . . . . . . .    channel and tap, pixel where
//
//            The matrix of columns is never written: the kernel computes where an element of it
//            lies in x.
//   tiled    The same product in float, with 8 x 8 outputs a thread (tile.cuh): each load feeds 8
//            times as many multiply-adds. Neighboring lanes load neighboring pixels, so that loads
//            coalesce. A lane keeps its pixels and finds their windows once; a warp keeps its rows
//            and splits k into channel and tap once a row. If there are too few tiles for the
//            device, K is cut into parts (gridDim.z) that sum_parts adds.
//   direct   For 1 to 4 channels a group: K is so short that writing y takes longer than computing
//            it, and a tile of depth BK would stay half empty. A thread computes FILTERS outputs of
//            PIXELS pixels in registers, with the weights in shared memory.
//
// Constants:
//   KERNEL   1, 3, 5: the size of a square kernel, 0: any.
//   tiled    BM, BN (tile.cuh); VECTOR: 1 if K % 4 == 0 and w is aligned to 16 bytes, else 0;
//            VECTOR_OUT: 1 if OH * OW % 4 == 0 and y is aligned to 16 bytes, else 0.
//   direct   FILTERS, PIXELS; TAPS: at least C/groups * KH * KW; DILATION: 1 if both dilations are,
//            so that the compiler knows how far apart taps are, else 0.
// Limits:  C/groups * KH * KW, OH * OW and padded sizes below 2^30.
#include "conv2d.cuh"
#include "shared.cuh"
#include "window.cuh"

#ifndef FILTERS
#define FILTERS 8
#endif
#ifndef PIXELS
#define PIXELS 4
#endif
#ifndef TAPS
#define TAPS 256
#endif
#ifndef DILATION
#define DILATION 0
#endif
#define DIRECT_THREADS 128
// Blocks a multiprocessor at least: 128 registers a thread hold the sums, but not 5 taps more.
#define DIRECT_RESIDENT (sizeof(index_t) > 4 ? 2 : KERNEL == 5 ? 3 : 4)

// Launch: one-dimensional, N*F*OH*OW threads or more.
extern "C" __global__ void conv2d_forward_naive(const real *__restrict__ x,
                                                const real *__restrict__ w,
                                                const real *__restrict__ bias, real *y,
                                                const Conv2dGeometry g, int activation) {
    const index_t i = thread_index();
    if (i >= static_cast<index_t>(g.N) * g.F * g.OH * g.OW) return;
    const int ow = i % g.OW, oh = i / g.OW % g.OH, f = i / g.OW / g.OH % g.F;
    const int n = i / g.OW / g.OH / g.F;
    const int channels = g.C / g.groups, c0 = f / (g.F / g.groups) * channels;
    real sum = bias == nullptr ? real(0) : bias[f];
    for (int c = 0; c < channels; ++c) {
        const real *const plane = x + (static_cast<index_t>(n) * g.C + c0 + c) * g.H * g.W;
        const real *const kernel = w + (static_cast<index_t>(f) * channels + c) * g.KH * g.KW;
        for (int kh = 0; kh < g.KH; ++kh) {
            const int ih = oh * g.stride_h + kh * g.dilation_h - g.top;
            if (ih < 0 || ih >= g.H) continue;
            for (int kw = 0; kw < g.KW; ++kw) {
                const int iw = ow * g.stride_w + kw * g.dilation_w - g.left;
                if (iw < 0 || iw >= g.W) continue;
                sum += plane[static_cast<index_t>(ih) * g.W + iw] * kernel[kh * g.KW + kw];
            }
        }
    }
    y[i] = activation ? relu(sum) : sum;
}

// Launch: grid (ceil(N*OH*OW / TILE), groups * ceil(F/groups / TILE)), TILE x TILE threads.
extern "C" __global__ void conv2d_forward_shared(const real *__restrict__ x,
                                                 const real *__restrict__ w,
                                                 const real *__restrict__ bias, real *y,
                                                 const Conv2dGeometry g, int activation) {
    __shared__ real a[TILE][TILE];
    __shared__ real b[TILE][TILE];
    const int channels = g.C / g.groups, filters = g.F / g.groups;
    const int tiles = (filters + TILE - 1) / TILE, group = blockIdx.y / tiles;
    const int row = blockIdx.y % tiles * TILE + threadIdx.y, f = group * filters + row;
    const index_t column = static_cast<index_t>(blockIdx.x) * TILE + threadIdx.x;  // (n, oh, ow)
    const index_t n = column / g.OW / g.OH;
    const int oh = column / g.OW % g.OH, ow = column % g.OW;
    const int K = channels * g.KH * g.KW;

    const auto weight = [&](int k) { return w[static_cast<index_t>(f) * K + k]; };
    const auto pixel = [&](int k) {  // k = (c, kh, kw)
        const int c = k / g.KW / g.KH, kh = k / g.KW % g.KH, kw = k % g.KW;
        const int h = oh * g.stride_h + kh * g.dilation_h - g.top;
        const int v = ow * g.stride_w + kw * g.dilation_w - g.left;
        if (!is_within(h, g.H) || !is_within(v, g.W)) return real(0);
        return x[((n * g.C + group * channels + c) * g.H + h) * g.W + v];
    };
    const bool has_row = row < filters, has_column = n < g.N;
    real sum = tile_product(a, b, K, has_row, has_column, weight, pixel);
    if (!has_row || !has_column) return;
    if (bias != nullptr) sum += bias[f];
    y[((n * g.F + f) * g.OH + oh) * g.OW + ow] = activation ? relu(sum) : sum;
}

// Part z of K, `depth` long, goes to y + z * (N*F*OH*OW): with one part y itself, else a workspace.
// Launch: grid (ceil(N*OH*OW / BN), groups * ceil(F/groups / BM), parts), THREADS threads.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    conv2d_forward_tiled(const float *__restrict__ x, const float *__restrict__ w,
                         const float *__restrict__ bias, float *__restrict__ y,
                         const Conv2dGeometry g, int activation, int depth) {
    __shared__ __align__(16) float a[2][BK][BM + PAD];
    __shared__ __align__(16) float b[2][BK][BN + PAD];
    const taps_t taps = {g.KH, g.KW, g.dilation_h, g.dilation_w};
    const int channels = g.C / g.groups, filters = g.F / g.groups;
    const int K = channels * (KERNEL == 0 ? g.KH * g.KW : KERNEL * KERNEL);
    const int tiles = (filters + BM - 1) / BM, group = blockIdx.y / tiles;
    const int f0 = blockIdx.y % tiles * BM, rows = filters - f0;
    const int pixels = g.OH * g.OW, begin = blockIdx.z * depth, end = min(K, begin + depth);
    const index_t column0 = static_cast<index_t>(blockIdx.x) * BN;
    const index_t columns = static_cast<index_t>(g.N) * pixels - column0;

    windows_t windows;
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
        const int at = threadIdx.x % WARP + WARP * j;
        const index_t n = (column0 + at) / pixels;
        const int pixel = (column0 + at) % pixels;
        set_window(windows, j, (n * g.C + group * channels) * g.H * g.W,
                   at < columns ? pixel / g.OW * g.stride_h - g.top : FAR,
                   pixel % g.OW * g.stride_w - g.left, g.H, g.W, taps);
    }

    const index_t weights = static_cast<index_t>(group * filters + f0) * K;
    float next_a[LOADS_A], next_b[ROWS][COLUMNS], sum[8][8] = {};
    const int row = tile_row(), column = tile_column();
    load_along_k<BM>(next_a, w, weights, K, rows, begin, end);
    load_windows(next_b, x, windows, begin, end, g.H, g.W, taps);
    store_along_k<BM>(a[0], next_a);
    store_windows(b[0], next_b);
    __syncthreads();
    for (int k = begin, buffer = 0; k < end; k += BK, buffer ^= 1) {
        load_along_k<BM>(next_a, w, weights, K, rows, k + BK, end);
        load_windows(next_b, x, windows, k + BK, end, g.H, g.W, taps);
        multiply(sum, a[buffer], b[buffer], row, column);
        store_along_k<BM>(a[buffer ^ 1], next_a);
        store_windows(b[buffer ^ 1], next_b);
        __syncthreads();
    }

    y += static_cast<index_t>(blockIdx.z) * g.N * g.F * pixels;
    write_tile(
        sum, y, pixels, rows, columns,
        [&](int column) {
            const index_t n = (column0 + column) / pixels;
            return (n * g.F + group * filters + f0) * pixels + (column0 + column) % pixels;
        },
        [&](float v, int row, int) {
            if (bias != nullptr) v += bias[group * filters + f0 + row];
            return activation ? relu(v) : v;
        });
}
// Shared memory holds weights[k][filter]; its rows are 4 longer than FILTERS, so that the lanes
// that fill it, along k, do not all write to one bank.
//
// Launch: grid (ceil(N*OH*OW / (DIRECT_THREADS*PIXELS)), groups * ceil(F/groups / FILTERS)),
//         DIRECT_THREADS threads.
extern "C" __global__ void __launch_bounds__(DIRECT_THREADS, DIRECT_RESIDENT)
    conv2d_forward_direct(const float *__restrict__ x, const float *__restrict__ w,
                          const float *__restrict__ bias, float *__restrict__ y,
                          Conv2dGeometry g, int activation) {
    __shared__ __align__(16) float weights[TAPS][FILTERS + 4];
    if (KERNEL != 0) g.KH = g.KW = KERNEL;
    if (DILATION == 1) g.dilation_h = g.dilation_w = 1;
    const int channels = g.C / g.groups, filters = g.F / g.groups, K = channels * g.KH * g.KW;
    const int blocks = (filters + FILTERS - 1) / FILTERS, group = blockIdx.y / blocks;
    const int f0 = blockIdx.y % blocks * FILTERS, rows = min(filters - f0, FILTERS);
    const int pixels = g.OH * g.OW;
    const index_t columns = static_cast<index_t>(g.N) * pixels;
    const index_t plane = static_cast<index_t>(g.H) * g.W;
    // The thread's first column; the others follow at a distance of DIRECT_THREADS.
    const index_t column0 =
        static_cast<index_t>(blockIdx.x) * (PIXELS * DIRECT_THREADS) + threadIdx.x;

    const float *const source = w + static_cast<index_t>(group * filters + f0) * K;
    for (int i = threadIdx.x; i < K * FILTERS; i += DIRECT_THREADS) {
        const int filter = i / K, k = i % K;
        weights[k][filter] = filter < rows ? source[i] : 0.0f;
    }
    __syncthreads();

    index_t window[PIXELS];
    int window_h[PIXELS], window_w[PIXELS];
#pragma unroll
    for (int j = 0; j < PIXELS; ++j) {
        const index_t column = column0 + j * DIRECT_THREADS;
        const int n = column / pixels, pixel = column % pixels;
        window_h[j] = column < columns ? pixel / g.OW * g.stride_h - g.top : FAR;
        window_w[j] = pixel % g.OW * g.stride_w - g.left;
        window[j] = (static_cast<index_t>(n) * g.C + group * channels) * plane + window_w[j];
        if (column < columns) window[j] += static_cast<index_t>(window_h[j]) * g.W;
    }

    float sum[PIXELS][FILTERS] = {};
    for (int c = 0, k = 0; c < channels; ++c)
#pragma unroll 1
        for (int kh = 0; kh < g.KH; ++kh)
#pragma unroll(KERNEL == 0 ? 1 : KERNEL)
            for (int kw = 0; kw < g.KW; ++kw, ++k) {
                const int h = kh * g.dilation_h, w = kw * g.dilation_w;
                const index_t offset = c * plane + static_cast<index_t>(h) * g.W + w;
                float seen[PIXELS];
#pragma unroll
                for (int j = 0; j < PIXELS; ++j) {
                    const bool inside =
                        is_within(window_h[j] + h, g.H) && is_within(window_w[j] + w, g.W);
                    seen[j] = inside ? x[window[j] + offset] : 0.0f;
                }
#pragma unroll
                for (int f = 0; f < FILTERS; ++f)
#pragma unroll
                    for (int j = 0; j < PIXELS; ++j) sum[j][f] += seen[j] * weights[k][f];
            }

#pragma unroll
    for (int j = 0; j < PIXELS; ++j) {
        const index_t column = column0 + j * DIRECT_THREADS;
        if (column >= columns) continue;
        const index_t n = column / pixels, first = group * filters + f0;
        float *const out = y + (n * g.F + first) * pixels + column % pixels;
#pragma unroll
        for (int f = 0; f < FILTERS; ++f) {
            if (f >= rows) continue;
            float v = sum[j][f];
            if (bias != nullptr) v += bias[first + f];
            out[static_cast<index_t>(f) * pixels] = activation ? relu(v) : v;
        }
    }
}
