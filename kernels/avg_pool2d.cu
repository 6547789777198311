// Average pooling, and its gradient.
//
//     y[n,c,oh,ow] = sum_{kh,kw} x[n, c, oh*s+kh-top, ow*s+kw-left] / count   padding counts as 0
//     grad_x[n,c,h,w] = sum of grad_y[n,c,oh,ow] / count over the windows that hold (h, w)
//
//     count = KH*KW if count_include_pad, else the pixels of the window that lie inside the image
//
// Layout:  x and grad_x are (planes, H, W), y and grad_y (planes, OH, OW), planes = N*C,
//          contiguous.
// Owner:   avg_pool2d_forward and _backward take any window. Forward: LANES threads, one output:
//          1, or a warp for large windows. Backward: one thread, four neighboring pixels of a row.
//          The *_stride2 kernels are for 2x2 and 3x3 at stride 2: one thread, two neighboring
//          outputs; or a patch of two rows of four pixels, as in max_pool2d.cu.
//          Backward gathers in the order of the taps, without atomics.
// Launch:  one-dimensional; LANES * outputs threads or more; planes * H * ceil(W / 4) backward.
//          At stride 2 as many as `pairs` and `patches` say: planes * OH * ceil(OW / 2), and
//          planes * ceil(H / 2) * ceil(W / 4).
// Limits:  the *_stride2 kernels divide by WINDOW * WINDOW: either there is no padding, or it
//          counts.
// Traffic: 2x2 at stride 2, bytes an output: 20 (16 of x, 4 of y), the same backward.
// Ladder:  1. one thread, one output or one pixel: neighboring threads read neighboring pixels.
//             Enough while a window is small, but finding a pixel's windows takes six divisions.
//          2. four pixels a thread share the divisions of their row and one store.
//          3. a window at stride 2 that the compiler knows: whole patches move as packs, and it is
//             known beforehand which windows hold a pixel. A patch reads and divides a grad_y once.
//          4. pooling a whole image to one number leaves few threads, each far from the next: there
//             a warp walks along the window and adds up by shuffles.
#include "common.cuh"
#include "pack.cuh"
#include "pool2d.cuh"

#ifndef LANES
#define LANES 1  // threads that share an output: 1 or WARP
#endif
#ifndef WINDOW
#define WINDOW 2  // the square window of the *_stride2 kernels: 2 or 3
#endif
#ifndef PAD
#define PAD 0  // its padding at the top and at the left: 0, or 1 for a window of 3
#endif
#define REACH (WINDOW - 2)         // rows and columns of a window beyond its own 2x2 pixels
#define SIDE (PAD ? -1 : REACH)    // where they lie: -1 before, 1 after; 0: there are none
static_assert(WINDOW == 3 || PAD == 0, "a padded window of 2 goes through avg_pool2d_forward");

// How many of the `kernel` pixels from `first` on lie in an image of `size`.
__device__ inline int inside(int first, int kernel, int size) {
    return min(kernel, size - first) - max(0, -first);
}

extern "C" __global__ void avg_pool2d_forward(const real *__restrict__ x, real *__restrict__ y,
                                              index_t outputs, const Pool2dGeometry g,
                                              int count_include_pad) {
    const index_t i = LANES == 1 ? thread_index() : warp_index();
    if (i >= outputs) return;
    const index_t row = i / g.OW, plane = row / g.OH;
    const int h0 = static_cast<int>(row - plane * g.OH) * g.stride_h - g.top;
    const int w0 = static_cast<int>(i - row * g.OW) * g.stride_w - g.left;
    const int kh_first = max(0, -h0), kh_end = min(g.KH, g.H - h0);
    const int kw_first = max(0, -w0), kw_end = min(g.KW, g.W - w0);
    const real *pixels = x + (plane * g.H + h0) * g.W + w0;
    real sum = real(0);
    if (LANES == 1) {
        for (int kh = kh_first; kh < kh_end; ++kh)
            for (int kw = kw_first; kw < kw_end; ++kw)
                sum += pixels[static_cast<index_t>(kh) * g.W + kw];
    } else {
        // The window is one run of pixels, row after row; lanes take neighbors on it.
        const int lane = threadIdx.x % LANES, width = kw_end - kw_first;
        const int rows = LANES / width, rest = LANES - rows * width;
        int kh = kh_first + lane / width, kw = kw_first + lane % width;
        while (kh < kh_end) {
            sum += pixels[static_cast<index_t>(kh) * g.W + kw];
            kh += rows;
            kw += rest;
            if (kw >= kw_end) {
                kw -= width;
                ++kh;
            }
        }
        sum = warp_sum(sum);
    }
    const int count =
        count_include_pad ? g.KH * g.KW : inside(h0, g.KH, g.H) * inside(w0, g.KW, g.W);
    if (threadIdx.x % LANES == 0) y[i] = sum / count;
}

extern "C" __global__ void avg_pool2d_backward(const real *__restrict__ grad_y,
                                               real *__restrict__ grad_x, index_t packs,
                                               const Pool2dGeometry g, int count_include_pad) {
    const index_t i = thread_index();
    if (i >= packs) return;
    const int per_row = (g.W + 3) / 4;
    const index_t row = i / per_row, plane = row / g.H;
    const int h = static_cast<int>(row - plane * g.H) + g.top;
    const int w0 = static_cast<int>(i - row * per_row) * 4;
    const int oh_first = h < g.KH ? 0 : (h - g.KH) / g.stride_h + 1;
    const int oh_last = min(g.OH - 1, h / g.stride_h);
    pack<real, 4> sum;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const int w = w0 + j + g.left;
        const int ow_first = w < g.KW ? 0 : (w - g.KW) / g.stride_w + 1;
        const int ow_last = min(g.OW - 1, w / g.stride_w);
        real all = real(0);
#pragma unroll 1  // a window or two: copies of the loop would only fill the instruction cache
        for (int oh = oh_last; oh >= oh_first; --oh) {  // falling windows: the pixel's rising taps
            const real *grad = grad_y + (plane * g.OH + oh) * g.OW;
            const int taps_h =
                count_include_pad ? g.KH : inside(oh * g.stride_h - g.top, g.KH, g.H);
#pragma unroll 1
            for (int ow = ow_last; ow >= ow_first; --ow) {
                const int taps_w =
                    count_include_pad ? g.KW : inside(ow * g.stride_w - g.left, g.KW, g.W);
                all += grad[ow] / (taps_h * taps_w);
            }
        }
        sum.lane[j] = all;
    }
    const bool whole = g.W % 4 == 0 && aligned<4>(grad_x);
    store_some(grad_x + row * g.W + w0, sum, g.W - w0, whole);
}

// Columns w to w + N - 1 of row h, and one more on the side that BEYOND says; 0 outside the image.
template <int N, int BEYOND>
__device__ inline void load_row(const real *plane, int h, int w, int H, int W, bool packs,
                                real *seen) {
    const bool inside = h >= 0 && h < H;
    const real *row = plane + static_cast<index_t>(h) * W;
    const index_t count = inside ? W - w : 0;
    const pack<real, N> middle = load_some<N>(row + w, count, packs && count >= N);
#pragma unroll
    for (int i = 0; i < N; ++i) seen[i + (BEYOND < 0)] = middle.lane[i];
    if (BEYOND) {
        const int outer = BEYOND < 0 ? w - 1 : w + N;
        seen[BEYOND < 0 ? 0 : N] = inside && outer >= 0 && outer < W ? row[outer] : real(0);
    }
}

// A product spares a float the instructions of a division, for one more rounding (1/4: none). A
// double is divided: its bits stay those of the CPU.
__device__ inline real average(real sum) {
    constexpr int count = WINDOW * WINDOW;
    return sizeof(real) == sizeof(float) ? sum * (real(1) / count) : sum / count;
}

extern "C" __global__ void avg_pool2d_forward_stride2(const real *__restrict__ x,
                                                      real *__restrict__ y, index_t pairs,
                                                      const Pool2dGeometry g) {
    const index_t i = thread_index();
    if (i >= pairs) return;
    const int per_row = (g.OW + 1) / 2;
    const index_t row = i / per_row, plane = row / g.OH;
    const int oh = static_cast<int>(row - plane * g.OH);
    const int ow = static_cast<int>(i - row * per_row) * 2;
    const bool packs = g.W % 4 == 0 && aligned<4>(x);
    real seen[WINDOW][4 + REACH];
#pragma unroll
    for (int kh = 0; kh < WINDOW; ++kh)
        load_row<4, SIDE>(x + plane * g.H * g.W, 2 * oh + kh - PAD, 2 * ow, g.H, g.W, packs,
                          seen[kh]);
    pack<real, 2> out;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        real sum = real(0);
#pragma unroll
        for (int k = 0; k < WINDOW * WINDOW; ++k) sum += seen[k / WINDOW][2 * j + k % WINDOW];
        out.lane[j] = average(sum);
    }
    store_some(y + row * g.OW + ow, out, g.OW - ow, g.OW % 2 == 0 && aligned<2>(y));
}

extern "C" __global__ void avg_pool2d_backward_stride2(const real *__restrict__ grad_y,
                                                       real *__restrict__ grad_x, index_t patches,
                                                       const Pool2dGeometry g) {
    const index_t i = thread_index();
    if (i >= patches) return;
    const int per_row = (g.W + 3) / 4, rows = (g.H + 1) / 2;
    const index_t row = i / per_row, plane = row / rows;
    const int r = static_cast<int>(row - plane * rows);
    const int q = static_cast<int>(i - row * per_row) * 2;

    // Seen from pixel (2r + i, 2q + j), window (r + d - BEFORE, q + e - BEFORE) has its tap
    // kh = i + PAD - 2 (d - BEFORE), kw = j + PAD - 2 (e - BEFORE) there.
    constexpr int BEFORE = SIDE > 0, DS = 1 + REACH, ES = 2 + REACH;
    const bool packs = g.OW % 2 == 0 && aligned<2>(grad_y);
    real grad[DS][ES];
#pragma unroll
    for (int d = 0; d < DS; ++d) {
        load_row<2, -SIDE>(grad_y + plane * g.OH * g.OW, r + d - BEFORE, q, g.OH, g.OW, packs,
                           grad[d]);
#pragma unroll
        for (int e = 0; e < ES; ++e) grad[d][e] = average(grad[d][e]);
    }
    const bool whole = g.W % 4 == 0 && aligned<4>(grad_x);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int h = 2 * r + i, w = 2 * q;
        pack<real, 4> sum;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            real all = real(0);
#pragma unroll
            for (int d = DS - 1; d >= 0; --d) {  // falling windows: the pixel's rising taps
#pragma unroll
                for (int e = ES - 1; e >= 0; --e) {
                    const int kh = i + PAD - 2 * (d - BEFORE), kw = j + PAD - 2 * (e - BEFORE);
                    if (kh >= 0 && kh < WINDOW && kw >= 0 && kw < WINDOW) all += grad[d][e];
                }
            }
            sum.lane[j] = all;
        }
        if (h < g.H) store_some(grad_x + (plane * g.H + h) * g.W + w, sum, g.W - w, whole);
    }
}
