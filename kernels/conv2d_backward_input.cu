// Gradient of a convolution by its input.
//
//     grad_x[n,c,h,w] = sum over the f, kh, kw, oh, ow with h = oh*s+kh*d-p, w = ow*s+kw*d-p
//                       of grad_y[n,f,oh,ow] * w[f,c-c0,kh,kw]
//
// where f runs over the filters of c's group, and c0 is the first channel of that group.
//
// Layouts: grad_y (N, F, OH, OW), w (F, C/groups, KH, KW), grad_x (N, C, H, W).
//
// At a stride of s most pairs of pixel and tap have no output: h + p - kh*d must be a multiple of
// s, and h % s alone decides for which taps it is one. So the pixels are divided into stride_h
// times stride_w phases. In a phase the taps are an arithmetic progression:
//
//     phase h % s, h = phase + s*hh:    kh = first + every*i,   oh = hh + offset - step*i
//     with every = s / gcd(s, d),  step = d / gcd(s, d)
//
//     s = 2, d = 1, 3 taps, p = 1        h:   0     1     2     3     4
//                                       kh:   1    0,2    1    0,2    1
//                                       oh:   0    1,0    1    2,1    2
//
// In a phase the gradient is a convolution of stride 1, without a multiplication by zero.
// A phase without taps (a kernel smaller than the stride) gets zeros.
//
// The ladder:
//   naive    One thread, one pixel of grad_x, in float or double; it tries every tap. The oracle.
//   shared   An implicit matrix product in tiles of 16 x 16, in float or double (shared.cuh):
//            w (C/groups, K) by columns (K, N*H*W), K = F/groups * KH * KW. It knows no phases: a
//            column holds a zero for each tap without an output.
//   tiled    An implicit matrix product for each phase, in float (tile.cuh):
//
//                 w (C/groups, K)        columns (K, pixels of the phase)      K = F/groups * taps
//
//            gathered from grad_y; k = (f, i_h, i_w), so that taps of one filter lie together.
//   direct   For 1 to 4 channels a group, where a tile would be 4 rows high: one thread, one pixel
//            and all channels of a group, over its own valid taps; weights in shared memory.
//
// Constants:
//   tiled    BM, BN (tile.cuh); STRIDE: 1 if both strides are, else 0; KERNEL: 3 or 5 for that
//            square kernel at stride 1, 1 for 1x1, 0 for any; VECTOR: 1 if C/groups % 4 == 0 and w
//            is aligned to 16 bytes (which only KERNEL = 1 makes use of), else 0; VECTOR_OUT: 1
//            if STRIDE is, H * W % 4 == 0 and grad_x is aligned to 16 bytes, else 0.
//   direct   CHANNELS: 1, or 4 for 2 to 4.
// Limits:  F/groups * KH * KW, H * W and padded sizes below 2^30.
//          direct: KH * KW * CHANNELS <= 4096.
#include "conv2d.cuh"
#include "shared.cuh"
#include "window.cuh"

#ifndef STRIDE
#define STRIDE 0
#endif
#ifndef CHANNELS
#define CHANNELS 4
#endif
#define DIRECT_THREADS 128
#define DIRECT_RESIDENT (sizeof(index_t) > 4 ? 4 : 8)  // blocks a multiprocessor at least
#define WEIGHTS 4096  // floats of shared memory: the weights of as many filters as fit

// Launch: one-dimensional, N*C*H*W threads or more.
extern "C" __global__ void conv2d_backward_input_naive(const real *__restrict__ grad_y,
                                                       const real *__restrict__ w, real *grad_x,
                                                       const Conv2dGeometry g) {
    const index_t i = thread_index();
    if (i >= static_cast<index_t>(g.N) * g.C * g.H * g.W) return;
    const int iw = i % g.W, ih = i / g.W % g.H, c = i / g.W / g.H % g.C, n = i / g.W / g.H / g.C;
    const int channels = g.C / g.groups, filters = g.F / g.groups, f0 = c / channels * filters;
    real sum = 0;
    for (int f = f0; f < f0 + filters; ++f) {
        const real *const plane = grad_y + (static_cast<index_t>(n) * g.F + f) * g.OH * g.OW;
        const index_t first = (static_cast<index_t>(f) * channels + c % channels) * g.KH * g.KW;
        for (int kh = 0; kh < g.KH; ++kh) {
            const int h = ih + g.top - kh * g.dilation_h;  // oh * stride_h, if there is one
            if (h < 0 || h % g.stride_h != 0 || h / g.stride_h >= g.OH) continue;
            for (int kw = 0; kw < g.KW; ++kw) {
                const int v = iw + g.left - kw * g.dilation_w;
                if (v < 0 || v % g.stride_w != 0 || v / g.stride_w >= g.OW) continue;
                sum += plane[static_cast<index_t>(h / g.stride_h) * g.OW + v / g.stride_w] *
                       w[first + kh * g.KW + kw];
            }
        }
    }
    grad_x[i] = sum;
}

// Launch: grid (ceil(N*H*W / TILE), groups * ceil(C/groups / TILE)), TILE x TILE threads.
extern "C" __global__ void conv2d_backward_input_shared(const real *__restrict__ grad_y,
                                                        const real *__restrict__ w, real *grad_x,
                                                        const Conv2dGeometry g) {
    __shared__ real a[TILE][TILE];
    __shared__ real b[TILE][TILE];
    const int channels = g.C / g.groups, filters = g.F / g.groups, taps = g.KH * g.KW;
    const int tiles = (channels + TILE - 1) / TILE, group = blockIdx.y / tiles;
    const int row = blockIdx.y % tiles * TILE + threadIdx.y;
    const index_t column = static_cast<index_t>(blockIdx.x) * TILE + threadIdx.x;  // (n, h, w)
    const index_t n = column / g.W / g.H;
    const int ih = column / g.W % g.H, iw = column % g.W;

    const auto weight = [&](int k) {  // k = (f, kh, kw)
        const index_t f = group * filters + k / taps;
        return w[(f * channels + row) * taps + k % taps];
    };
    const auto gradient = [&](int k) {
        const int f = group * filters + k / taps, kh = k / g.KW % g.KH, kw = k % g.KW;
        const int h = ih + g.top - kh * g.dilation_h;  // oh * stride_h, if there is one
        const int v = iw + g.left - kw * g.dilation_w;
        if (h < 0 || h % g.stride_h != 0 || h / g.stride_h >= g.OH) return real(0);
        if (v < 0 || v % g.stride_w != 0 || v / g.stride_w >= g.OW) return real(0);
        return grad_y[((n * g.F + f) * g.OH + h / g.stride_h) * g.OW + v / g.stride_w];
    };
    const bool has_row = row < channels, has_column = n < g.N;
    const real sum = tile_product(a, b, filters * taps, has_row, has_column, weight, gradient);
    if (has_row && has_column)
        grad_x[((n * g.C + group * channels + row) * g.H + ih) * g.W + iw] = sum;
}

// The taps of one axis that reach the pixels of a phase: first + every*i, for i < count. Tap i of
// pixel phase + stride*hh sees output hh + offset - step*i.
struct phase_t {
    int first, every, count, offset, step;
};

__device__ inline phase_t find_phase(int phase, int taps, int stride, int before, int dilation) {
    int gcd = stride;
    for (int rest = dilation; gcd != 1 && rest != 0;) {
        const int next = gcd % rest;
        gcd = rest;
        rest = next;
    }
    phase_t found = {0, stride / gcd, 0, 0, dilation / gcd};
    const int last = min(taps, found.every);
    while (found.first < last && (phase + before - found.first * dilation) % stride != 0)
        ++found.first;
    if (found.first < last) found.count = (taps - 1 - found.first) / found.every + 1;
    found.offset = (phase + before - found.first * dilation) / stride;
    return found;
}
// The weights of row c and of k = (f, i_h, i_w): 8 lanes read 8 adjacent k, and with one phase
// adjacent memory.
__device__ inline void load_weights(float (&next)[LOADS_A], const float *w, index_t start, int rows,
                                    int channels, int k, int end, int KH, int KW, phase_t h,
                                    phase_t v) {
    k += threadIdx.x % BK;
    const int count_w = KERNEL == 0 ? v.count : KERNEL;
    const int count = KERNEL == 0 ? h.count * count_w : KERNEL * KERNEL;
    const int f = k / count, tap = k % count;
    const int kernel = KERNEL == 0 ? KH * KW : KERNEL * KERNEL;
    const int kh = h.first + tap / count_w * h.every, kw = v.first + tap % count_w * v.every;
    start += static_cast<index_t>(f) * channels * kernel + (KERNEL == 0 ? kh * KW + kw : tap);
#pragma unroll
    for (int e = 0; e < LOADS_A; ++e) {
        const int row = threadIdx.x / BK + e * (THREADS / BK);
        next[e] = row < rows && k < end ? w[start + static_cast<index_t>(row) * kernel] : 0.0f;
    }
}

// Part and phase are blockIdx.z = part * phases + phase. Part `part` of K, `depth` long, goes to
// grad_x + part * (N*C*H*W): with one part grad_x itself, else a workspace.
// Launch: grid (ceil(N * ceil(H/stride_h) * ceil(W/stride_w) / BN), groups * ceil(C/groups / BM),
//         phases * parts), THREADS threads.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    conv2d_backward_input_tiled(const float *__restrict__ grad_y, const float *__restrict__ w,
                                float *__restrict__ grad_x, Conv2dGeometry g, int depth) {
    __shared__ __align__(16) float a[2][BK][BM + PAD];
    __shared__ __align__(16) float b[2][BK][BN + PAD];
    if (STRIDE == 1) g.stride_h = g.stride_w = 1;
    const int phases = g.stride_h * g.stride_w, phase = blockIdx.z % phases;
    const int part = blockIdx.z / phases;
    const int phase_h = phase / g.stride_w, phase_w = phase % g.stride_w;
    const phase_t h = find_phase(phase_h, g.KH, g.stride_h, g.top, g.dilation_h);
    const phase_t v = find_phase(phase_w, g.KW, g.stride_w, g.left, g.dilation_w);
    const taps_t taps = {h.count, v.count, -h.step, -v.step};
    const int height = (g.H - phase_h + g.stride_h - 1) / g.stride_h;  // the pixels of the phase
    const int width = (g.W - phase_w + g.stride_w - 1) / g.stride_w;
    const int channels = g.C / g.groups, filters = g.F / g.groups, K = filters * h.count * v.count;
    const int tiles = (channels + BM - 1) / BM, group = blockIdx.y / tiles;
    const int c0 = blockIdx.y % tiles * BM, rows = channels - c0;
    const int pixels = height * width, begin = part * depth, end = min(K, begin + depth);
    const index_t column0 = static_cast<index_t>(blockIdx.x) * BN;
    const index_t columns = static_cast<index_t>(g.N) * pixels - column0;
    if (columns <= 0) return;  // the whole block: phases differ in size

    windows_t windows;
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
        const int at = threadIdx.x % WARP + WARP * j;
        const index_t n = (column0 + at) / pixels;
        const int pixel = (column0 + at) % pixels;
        set_window(windows, j, (n * g.F + group * filters) * g.OH * g.OW,
                   at < columns ? pixel / width + h.offset : FAR, pixel % width + v.offset, g.OH,
                   g.OW, taps);
    }

    index_t weights = static_cast<index_t>(group) * filters * channels * g.KH * g.KW;
    weights += static_cast<index_t>(c0) * g.KH * g.KW;
    float next_a[LOADS_A], next_b[ROWS][COLUMNS], sum[8][8] = {};
    const int row = tile_row(), column = tile_column();
    const auto load = [&](int k) {
#if KERNEL == 1
        load_across_k<BM>(next_a, w, weights, channels, rows, k, end);
#else
        load_weights(next_a, w, weights, rows, channels, k, end, g.KH, g.KW, h, v);
#endif
        load_windows(next_b, grad_y, windows, k, end, g.OH, g.OW, taps);
    };
    const auto store = [&](int buffer) {
#if KERNEL == 1
        store_across_k<BM>(a[buffer], next_a);
#else
        store_along_k<BM>(a[buffer], next_a);
#endif
        store_windows(b[buffer], next_b);
    };
    if (begin < end) load(begin), store(0);  // else there is no tap, or the part is empty
    __syncthreads();
    for (int k = begin, buffer = 0; k < end; k += BK, buffer ^= 1) {
        load(k + BK);
        multiply(sum, a[buffer], b[buffer], row, column);
        store(buffer ^ 1);
        __syncthreads();
    }

    grad_x += static_cast<index_t>(part) * g.N * g.C * g.H * g.W;
    write_tile(
        sum, grad_x, static_cast<index_t>(g.H) * g.W, rows, columns,
        [&](int column) {
            const index_t n = (column0 + column) / pixels;
            const int pixel = (column0 + column) % pixels;
            const int ih = phase_h + pixel / width * g.stride_h;
            const int iw = phase_w + pixel % width * g.stride_w;
            return ((n * g.C + group * channels + c0) * g.H + ih) * g.W + iw;
        },
        [](float v, int, int) { return v; });
}
// Launch: grid (ceil(N*H*W / DIRECT_THREADS), groups), DIRECT_THREADS threads.
extern "C" __global__ void __launch_bounds__(DIRECT_THREADS, DIRECT_RESIDENT)
    conv2d_backward_input_direct(const float *__restrict__ grad_y, const float *__restrict__ w,
                                 float *__restrict__ grad_x, const Conv2dGeometry g) {
    __shared__ __align__(16) float weights[WEIGHTS];  // [filter][tap][CHANNELS], missing channels 0
    const int channels = g.C / g.groups, filters = g.F / g.groups, group = blockIdx.y;
    const int taps = g.KH * g.KW;
    const int fitting = WEIGHTS / (taps * CHANNELS);
    const index_t i = thread_index(), plane = static_cast<index_t>(g.OH) * g.OW;
    const bool valid = i < static_cast<index_t>(g.N) * g.H * g.W;
    const int n = i / g.W / g.H, ih = i / g.W % g.H, iw = i % g.W;
    const phase_t h =
        find_phase(ih % g.stride_h, valid ? g.KH : 0, g.stride_h, g.top, g.dilation_h);
    const phase_t v = find_phase(iw % g.stride_w, g.KW, g.stride_w, g.left, g.dilation_w);

    float sum[CHANNELS] = {};
    for (int f0 = 0; f0 < filters; f0 += fitting) {
        const int count = min(fitting, filters - f0);
        const index_t first = group * filters + f0;
        __syncthreads();
        for (int e = threadIdx.x; e < count * taps * CHANNELS; e += DIRECT_THREADS) {
            const int f = e / CHANNELS / taps, tap = e / CHANNELS % taps, c = e % CHANNELS;
            weights[e] = c < channels ? w[((first + f) * channels + c) * taps + tap] : 0.0f;
        }
        __syncthreads();
        for (int a = 0; a < h.count; ++a) {
            const int oh = ih / g.stride_h + h.offset - a * h.step;
            if (oh < 0 || oh >= g.OH) continue;
            for (int b = 0; b < v.count; ++b) {
                const int ow = iw / g.stride_w + v.offset - b * v.step;
                if (ow < 0 || ow >= g.OW) continue;
                const int tap = (h.first + a * h.every) * g.KW + v.first + b * v.every;
                const index_t at = (n * static_cast<index_t>(g.F) + first) * plane +
                                   static_cast<index_t>(oh) * g.OW + ow;
#pragma unroll 4
                for (int f = 0; f < count; ++f) {
                    const float grad = grad_y[at + f * plane];
#pragma unroll
                    for (int c = 0; c < CHANNELS; ++c)
                        sum[c] += grad * weights[(f * taps + tap) * CHANNELS + c];
                }
            }
        }
    }
    if (!valid) return;
    const index_t first = static_cast<index_t>(n) * g.C + group * channels;
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c)
        if (c < channels) grad_x[((first + c) * g.H + ih) * g.W + iw] = sum[c];
}
