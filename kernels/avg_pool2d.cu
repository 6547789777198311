// Average pooling, and its gradient.
//
//     y[n,c,oh,ow] = sum_{kh,kw} x[n, c, oh*SH+kh-top, ow*SW+kw-left] / count   padding counts as 0
//     grad_x[n,c,h,w] = sum of grad_y[n,c,oh,ow] / count over the windows that hold (h, w)
//
//     count = KH*KW if count_include_pad, else the pixels of the window that lie inside the image
//
// Layout:  x and grad_x are (planes, H, W), y and grad_y (planes, OH, OW), planes = N*C,
//          contiguous.
// Owner:   forward: LANES threads, one output: 1, or a warp for large windows. Backward: one
//          thread, four neighbouring pixels of a row, which gathers from their windows: nothing is
//          added atomically, and the order is that of the taps.
// Launch:  one-dimensional; forward LANES * outputs threads or more, backward planes * H *
//          ceil(W / 4).
// Limits:  -DWINDOW=2 is for KH = KW = SH = SW = 2.
// Floor:   2x2 at stride 2, bytes an output: 20 (16 of x, 4 of y), the same backward.
// Ladder:  1. one thread, one output, one thread, one pixel: neighbours read neighbours, which is
//             enough while a window is small, but finding a pixel's windows takes six divisions.
//          2. four pixels a thread share the divisions of their row and leave by one store; a
//             window known to the compiler turns the other divisions into shifts.
//          3. pooling a whole image to one number leaves few threads, each far from the next: there
//             a warp walks along the window and adds up by shuffles.
#include "common.cuh"
#include "pack.cuh"

#ifndef WINDOW
#define WINDOW 0  // 2: the window is 2x2 at stride 2; 0: any
#endif
#ifndef LANES
#define LANES 1  // threads that share an output: 1 or WARP
#endif

// How many of the `kernel` pixels from `first` on lie in an image of `size`.
__device__ inline int inside(int first, int kernel, int size) {
    return min(kernel, size - first) - max(0, -first);
}

extern "C" __global__ void avg_pool2d_forward(const real *__restrict__ x, real *__restrict__ y,
                                              index_t outputs, int H, int W, int OH, int OW, int KH,
                                              int KW, int SH, int SW, int top, int left,
                                              int count_include_pad) {
    if (WINDOW) KH = KW = SH = SW = WINDOW;
    const index_t i = LANES == 1 ? thread_index() : warp_index();
    if (i >= outputs) return;
    const index_t row = i / OW, plane = row / OH;
    const int h0 = static_cast<int>(row - plane * OH) * SH - top;
    const int w0 = static_cast<int>(i - row * OW) * SW - left;
    const int kh_first = max(0, -h0), kh_end = min(KH, H - h0);
    const int kw_first = max(0, -w0), kw_end = min(KW, W - w0);
    const real *pixels = x + (plane * H + h0) * W + w0;
    real sum = real(0);
    if (LANES == 1) {
        for (int kh = kh_first; kh < kh_end; ++kh)
            for (int kw = kw_first; kw < kw_end; ++kw)
                sum += pixels[static_cast<index_t>(kh) * W + kw];
    } else {
        // The window is one run of pixels, row after row; lanes take neighbours on it.
        const int lane = threadIdx.x % LANES, width = kw_end - kw_first;
        const int rows = LANES / width, rest = LANES - rows * width;
        int kh = kh_first + lane / width, kw = kw_first + lane % width;
        while (kh < kh_end) {
            sum += pixels[static_cast<index_t>(kh) * W + kw];
            kh += rows;
            kw += rest;
            if (kw >= kw_end) {
                kw -= width;
                ++kh;
            }
        }
        sum = warp_sum(sum);
    }
    const int count = count_include_pad ? KH * KW : inside(h0, KH, H) * inside(w0, KW, W);
    if (threadIdx.x % LANES == 0) y[i] = sum / count;
}

extern "C" __global__ void avg_pool2d_backward(const real *__restrict__ grad_y,
                                               real *__restrict__ grad_x, index_t packs, int H,
                                               int W, int OH, int OW, int KH, int KW, int SH,
                                               int SW, int top, int left, int count_include_pad) {
    if (WINDOW) KH = KW = SH = SW = WINDOW;
    const index_t i = thread_index();
    if (i >= packs) return;
    const int per_row = (W + 3) / 4;
    const index_t row = i / per_row, plane = row / H;
    const int h = static_cast<int>(row - plane * H) + top;
    const int w0 = static_cast<int>(i - row * per_row) * 4;
    const int oh_first = h < KH ? 0 : (h - KH) / SH + 1, oh_last = min(OH - 1, h / SH);
    pack<real, 4> sum;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const int w = w0 + j + left;
        const int ow_first = w < KW ? 0 : (w - KW) / SW + 1, ow_last = min(OW - 1, w / SW);
        real all = real(0);
#pragma unroll 1  // a window or two: copies of the loop would only fill the instruction cache
        for (int oh = oh_last; oh >= oh_first; --oh) {  // falling windows: the pixel's rising taps
            const real *grad = grad_y + (plane * OH + oh) * OW;
            const int taps_h = count_include_pad ? KH : inside(oh * SH - top, KH, H);
#pragma unroll 1
            for (int ow = ow_last; ow >= ow_first; --ow) {
                const int taps_w = count_include_pad ? KW : inside(ow * SW - left, KW, W);
                all += grad[ow] / (taps_h * taps_w);
            }
        }
        sum.lane[j] = all;
    }
    const bool whole = W % 4 == 0 && aligned<4>(grad_x);
    store_some(grad_x + row * W + w0, sum, W - w0, whole);
}
