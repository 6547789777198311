// Gradient of a convolution by its weight.
//
//     grad_w[f,c,kh,kw] = sum_{n,oh,ow} grad_y[n,f,oh,ow] * x[n, c0+c, oh*s+kh*d-p, ow*s+kw*d-p]
//
// where c0 is the first channel of f's group, and pixels in the padding are 0.
//
// Layouts: grad_y (N, F, OH, OW), x (N, C, H, W), grad_w (F, C/groups, KH, KW).
//
// There are few outputs, and each is a sum over all pixels of the batch: a first layer 1->32 3x3
// on a batch of 128 digits has 288 sums of 86,528 terms. So tiled and direct cut the pixels
// (n, oh, ow) into parts. A block adds up one part and writes it to a workspace (parts, F,
// C/groups, KH, KW); sum_parts adds the parts in their order. The number of parts depends on the
// sizes and the device alone, so that the same call gives the same bits.
//
// The ladder:
//   naive    One thread, one weight, the whole sum, in float or double. The oracle.
//   shared   An implicit matrix product in tiles of 16 x 16, in float or double (shared.cuh); the
//            whole sum, so that few outputs leave most of a GPU idle.
//   tiled    An implicit matrix product over a part, in float (tile.cuh):
//
//                grad_y (F/groups, pixels)     columns^T (pixels, C/groups*KH*KW)
//                    pixel ------>                 c,kh,kw ------>
//                  f . . . .                 pixel . . . . . . . .    gathered from x
//                    . . . .                       . . . . . . . .
//
//            Memory is contiguous along the pixels on both sides: 8 lanes read 8 adjacent pixels, a
//            sector of memory. A thread keeps one of the 8 pixels of a step, so that (n, oh, ow)
//            advances by additions; it splits its columns into (c, kh, kw) once.
//   direct   For 1 to 4 channels a group, where a tile of 64 columns would stay half empty: a block
//            takes one channel and FILTERS filters; a thread walks over its pixels with
//            FILTERS * KERNEL^2 sums in registers, and the block adds up its threads by shuffles.
//
// Constants:
//   tiled    BM, BN (tile.cuh); VECTOR_OUT: 1 if C/groups * KH * KW % 4 == 0 and grad_w is aligned
//            to 16 bytes, else 0.
//   direct   KERNEL: the size of the square kernel; FILTERS; DILATION: 1 if both dilations are, so
//            that the compiler knows how far apart taps are, else 0.
// Limits:  C/groups * KH * KW, OH * OW and the padded C/groups * H * W below 2^30.
#include "conv2d.cuh"
#include "shared.cuh"
#include "tile.cuh"

#ifndef KERNEL
#define KERNEL 3
#endif
#ifndef FILTERS
#define FILTERS 8
#endif
#ifndef DILATION
#define DILATION 0
#endif
#define TAPS (KERNEL * KERNEL)
#define DIRECT_THREADS 128

// Launch: one-dimensional, F*C/groups*KH*KW threads or more.
extern "C" __global__ void conv2d_backward_weight_naive(const real *__restrict__ grad_y,
                                                        const real *__restrict__ x, real *grad_w,
                                                        const Conv2dGeometry g) {
    const int channels = g.C / g.groups;
    const index_t i = thread_index();
    if (i >= static_cast<index_t>(g.F) * channels * g.KH * g.KW) return;
    const int kw = i % g.KW, kh = i / g.KW % g.KH, c = i / g.KW / g.KH % channels;
    const int f = i / g.KW / g.KH / channels;
    const int c0 = f / (g.F / g.groups) * channels;
    real sum = 0;
    for (int n = 0; n < g.N; ++n) {
        const real *const grad = grad_y + (static_cast<index_t>(n) * g.F + f) * g.OH * g.OW;
        const real *const image = x + (static_cast<index_t>(n) * g.C + c0 + c) * g.H * g.W;
        for (int oh = 0; oh < g.OH; ++oh) {
            const int ih = oh * g.stride_h + kh * g.dilation_h - g.top;
            if (ih < 0 || ih >= g.H) continue;
            const real *const row = image + static_cast<index_t>(ih) * g.W;
            for (int ow = 0; ow < g.OW; ++ow) {
                const int iw = ow * g.stride_w + kw * g.dilation_w - g.left;
                if (iw < 0 || iw >= g.W) continue;
                sum += grad[static_cast<index_t>(oh) * g.OW + ow] * row[iw];
            }
        }
    }
    grad_w[i] = sum;
}

// Launch: grid (ceil(C/groups*KH*KW / TILE), groups * ceil(F/groups / TILE)), TILE x TILE threads.
extern "C" __global__ void conv2d_backward_weight_shared(const real *__restrict__ grad_y,
                                                         const real *__restrict__ x, real *grad_w,
                                                         const Conv2dGeometry g) {
    __shared__ real a[TILE][TILE];
    __shared__ real b[TILE][TILE];
    const int channels = g.C / g.groups, filters = g.F / g.groups, pixels = g.OH * g.OW;
    const int tiles = (filters + TILE - 1) / TILE, group = blockIdx.y / tiles;
    const int row = blockIdx.y % tiles * TILE + threadIdx.y, f = group * filters + row;
    const int column = blockIdx.x * TILE + threadIdx.x, width = channels * g.KH * g.KW;
    const int c = column / g.KW / g.KH, kh = column / g.KW % g.KH, kw = column % g.KW;

    const auto gradient = [&](index_t k) {  // k = (n, oh, ow)
        return grad_y[(k / pixels * g.F + f) * pixels + k % pixels];
    };
    const auto pixel = [&](index_t k) {
        const int h = k % pixels / g.OW * g.stride_h + kh * g.dilation_h - g.top;
        const int v = k % g.OW * g.stride_w + kw * g.dilation_w - g.left;
        if (!is_within(h, g.H) || !is_within(v, g.W)) return real(0);
        return x[((k / pixels * g.C + group * channels + c) * g.H + h) * g.W + v];
    };
    const bool has_row = row < filters, has_column = column < width;
    const index_t K = static_cast<index_t>(g.N) * pixels;
    const real sum = tile_product(a, b, K, has_row, has_column, gradient, pixel);
    if (has_row && has_column) grad_w[static_cast<index_t>(f) * width + column] = sum;
}

// (n, oh, ow) of the pixel that comes STEP pixels later.
template <int STEP>
__device__ inline void advance(int &n, int &oh, int &ow, int OH, int OW) {
    oh += STEP / OW;
    ow += STEP % OW;
    if (ow >= OW) ow -= OW, ++oh;
    while (oh >= OH) oh -= OH, ++n;
}

// Part z, `depth` pixels long, goes to grad_w + z * (F*C/groups*KH*KW): with one part grad_w
// itself, else a workspace.
// Launch: grid (ceil(C/groups*KH*KW / BN), groups * ceil(F/groups / BM), parts), THREADS threads.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    conv2d_backward_weight_tiled(const float *__restrict__ grad_y, const float *__restrict__ x,
                                 float *__restrict__ grad_w, const Conv2dGeometry g,
                                 index_t depth) {
    __shared__ __align__(16) float a[2][BK][BM + PAD];
    __shared__ __align__(16) float b[2][BK][BN + PAD];
    const int channels = g.C / g.groups, filters = g.F / g.groups, width = channels * g.KH * g.KW;
    const int tiles = (filters + BM - 1) / BM, group = blockIdx.y / tiles;
    const int f0 = blockIdx.y % tiles * BM, rows = filters - f0;
    const int column0 = blockIdx.x * BN, columns = width - column0;
    const index_t pixels = static_cast<index_t>(g.N) * g.OH * g.OW, begin = blockIdx.z * depth;
    const index_t end = begin + min(pixels - begin, depth);
    const int first = threadIdx.x / BK;  // of the rows and columns that the thread loads

    const index_t plane = static_cast<index_t>(g.OH) * g.OW;
    int tap[LOADS_B];  // offset from a window's corner of what the thread's columns see
    int tap_h[LOADS_B], tap_w[LOADS_B];
#pragma unroll
    for (int e = 0; e < LOADS_B; ++e) {
        const int at = first + e * (THREADS / BK), k = at < columns ? column0 + at : 0;
        tap_h[e] = k / g.KW % g.KH * g.dilation_h;
        tap_w[e] = k % g.KW * g.dilation_w;
        tap[e] = (k / g.KW / g.KH * g.H + tap_h[e]) * g.W + tap_w[e];
        if (at >= columns) tap_h[e] = FAR;
    }

    // The thread's pixel of the step: it advances by BK.
    index_t pixel = begin + threadIdx.x % BK;
    int n = pixel / (g.OH * g.OW), oh = pixel / g.OW % g.OH, ow = pixel % g.OW;
    float next_a[LOADS_A], next_b[LOADS_B], sum[8][8] = {};
    const auto load = [&]() {
        const bool valid = pixel < end;
        const index_t grad =
            ((static_cast<index_t>(n) * g.F + group * filters + f0) * g.OH + oh) * g.OW + ow;
        const int h = oh * g.stride_h - g.top, w = ow * g.stride_w - g.left;
        const index_t corner =
            ((static_cast<index_t>(n) * g.C + group * channels) * g.H + h) * g.W + w;
#pragma unroll
        for (int e = 0; e < LOADS_A; ++e) {
            const int row = first + e * (THREADS / BK);
            next_a[e] = valid && row < rows ? grad_y[grad + row * plane] : 0.0f;
        }
#pragma unroll
        for (int e = 0; e < LOADS_B; ++e) {
            const bool inside =
                valid && is_within(h + tap_h[e], g.H) && is_within(w + tap_w[e], g.W);
            next_b[e] = inside ? x[corner + tap[e]] : 0.0f;
        }
        pixel += BK;
        advance<BK>(n, oh, ow, g.OH, g.OW);
    };
    const auto store = [&](int buffer) {
#pragma unroll
        for (int e = 0; e < LOADS_A; ++e)
            a[buffer][threadIdx.x % BK][first + e * (THREADS / BK)] = next_a[e];
#pragma unroll
        for (int e = 0; e < LOADS_B; ++e)
            b[buffer][threadIdx.x % BK][first + e * (THREADS / BK)] = next_b[e];
    };
    const int row = tile_row(), column = tile_column();
    load();
    store(0);
    __syncthreads();
    int buffer = 0;
    for (index_t k = begin; k < end; k += BK, buffer ^= 1) {
        load();
        multiply(sum, a[buffer], b[buffer], row, column);
        store(buffer ^ 1);
        __syncthreads();
    }

    grad_w += static_cast<index_t>(blockIdx.z) * g.F * width;
    grad_w += static_cast<index_t>(group * filters + f0) * width + column0;
    write_tile(
        sum, grad_w, width, rows, columns,
        [](int column) { return column; }, [](float v, int, int) { return v; });
}
// Part x, `depth` pixels long, goes to grad_w + x * (F*C/groups*KH*KW), as above.
// Launch: grid (parts, C * ceil(F/groups / FILTERS)), DIRECT_THREADS threads.
extern "C" __global__ void __launch_bounds__(DIRECT_THREADS)
    conv2d_backward_weight_direct(const float *__restrict__ grad_y, const float *__restrict__ x,
                                  float *__restrict__ grad_w, Conv2dGeometry g,
                                  index_t depth) {
    __shared__ float totals[DIRECT_THREADS / WARP][FILTERS * TAPS];
    const int channels = g.C / g.groups, filters = g.F / g.groups;
    if (DILATION == 1) g.dilation_h = g.dilation_w = 1;
    const int blocks = (filters + FILTERS - 1) / FILTERS, c = blockIdx.y / blocks;
    const int first = blockIdx.y % blocks * FILTERS, rows = min(filters - first, FILTERS);
    const int f0 = c / channels * filters + first;
    const index_t pixels = static_cast<index_t>(g.N) * g.OH * g.OW, begin = blockIdx.x * depth;
    const index_t end = begin + min(pixels - begin, depth);

    const index_t plane = static_cast<index_t>(g.OH) * g.OW;
    float sum[FILTERS][TAPS] = {};
    index_t pixel = begin + threadIdx.x;
    int n = pixel / (g.OH * g.OW), oh = pixel / g.OW % g.OH, ow = pixel % g.OW;
    for (; pixel < end; pixel += DIRECT_THREADS, advance<DIRECT_THREADS>(n, oh, ow, g.OH, g.OW)) {
        const index_t at = ((static_cast<index_t>(n) * g.F + f0) * g.OH + oh) * g.OW + ow;
        const int h = oh * g.stride_h - g.top, w = ow * g.stride_w - g.left;
        const index_t corner = ((static_cast<index_t>(n) * g.C + c) * g.H + h) * g.W + w;
        float grad[FILTERS];
#pragma unroll
        for (int f = 0; f < FILTERS; ++f) grad[f] = f < rows ? grad_y[at + f * plane] : 0.0f;
#pragma unroll
        for (int tap = 0; tap < TAPS; ++tap) {
            const int down = tap / KERNEL * g.dilation_h, right = tap % KERNEL * g.dilation_w;
            const bool inside = is_within(h + down, g.H) && is_within(w + right, g.W);
            const float seen = inside ? x[corner + static_cast<index_t>(down) * g.W + right] : 0.0f;
#pragma unroll
            for (int f = 0; f < FILTERS; ++f) sum[f][tap] += grad[f] * seen;
        }
    }

#pragma unroll
    for (int f = 0; f < FILTERS; ++f)
#pragma unroll
        for (int tap = 0; tap < TAPS; ++tap) {
            const float total = warp_sum(sum[f][tap]);
            if (threadIdx.x % WARP == 0) totals[threadIdx.x / WARP][f * TAPS + tap] = total;
        }
    __syncthreads();
    grad_w += static_cast<index_t>(blockIdx.x) * g.F * channels * TAPS;
    for (int i = threadIdx.x; i < rows * TAPS; i += DIRECT_THREADS) {
        float total = 0.0f;
        for (int warp = 0; warp < DIRECT_THREADS / WARP; ++warp) total += totals[warp][i];
        const index_t f = f0 + i / TAPS;
        grad_w[(f * channels + c % channels) * TAPS + i % TAPS] = total;
    }
}
