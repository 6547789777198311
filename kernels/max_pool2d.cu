// Max pooling, and its gradient.
//
//     y[n,c,oh,ow] = max_{kh,kw} x[n, c, oh*s+kh-top, ow*s+kw-left]      padding counts as -inf
//     argmax[n,c,oh,ow] = kh*KW + kw of the first maximum in row-major order, or of the first NaN
//
//     grad_x[n,c,h,w] = sum of grad_y[n,c,oh,ow] over the windows whose argmax is the pixel (h, w)
//
// Layout:  x and grad_x are (planes, H, W), y, argmax and grad_y (planes, OH, OW), planes = N*C,
//          all contiguous. argmax is uint8, or int32 (-DTAP=int) for windows of more than 256
//          pixels.
// Owner:   max_pool2d_forward and _backward take any window: one thread, one output or one pixel.
//          The *_stride2 kernels are for 2x2 and 3x3 at stride 2, VECTOR pixels of a row a thread:
//
//              forward                          backward (2 rows of VECTOR pixels)
//              x  # # # # .    VECTOR = 4       grad_x  # # # #        grad_y  . o o
//                 # # # # .                             # # # #                . o o
//                 . . . . .    3x3: rows and
//              y   o   o       columns around   what a neighbor owns is read, never written
//
// Launch:  one-dimensional; as many threads as `outputs`, `pixels` or `patches` says.
// Limits:  VECTOR is 4 where a row begins at a multiple of four elements in memory; forward also
//          asks for an even OW with 2*OW <= W. Else it is 2, and pixels are moved one by one.
// Traffic: 2x2 at stride 2, bytes an output: 21 forward (16 of x, 4 of y, 1 of argmax) and
//          backward.
// Ladder:  1. one thread, one output: most of its instructions compute addresses, and a load brings
//             4 bytes.
//          2. unrolled: all rows of all windows are loaded before the first comparison.
//          3. packs of four pixels: a warp reads 512 bytes an instruction, none of them twice.
//          Backward gathers from the windows that hold a pixel, in the order of the taps, without
//          atomics.
#include "common.cuh"
#include "pack.cuh"
#include "pool2d.cuh"

#ifndef TAP
#define TAP unsigned char
#endif
typedef TAP tap_t;

#ifndef WINDOW
#define WINDOW 2  // the square window of the *_stride2 kernels: 2 or 3
#endif
#ifndef PAD
#define PAD 0  // its padding at the top and at the left: 0, or 1 for a window of 3
#endif
#ifndef VECTOR
#define VECTOR 4  // pixels of a row that a thread moves: 4 at once, or 2 one by one
#endif
#define OUTPUTS (VECTOR / 2)           // neighboring windows of a thread, forward
#define SPAN (VECTOR + WINDOW - 2)     // columns under them
static_assert(WINDOW == 3 || PAD == 0, "a padded window of 2 goes through max_pool2d_forward");

__device__ inline real lowest() { return -static_cast<real>(__int_as_float(0x7f800000)); }

// Whether v replaces the best so far: it is greater, or the first NaN.
__device__ inline bool replaces(real v, real best) { return !(v <= best) && best == best; }

extern "C" __global__ void max_pool2d_forward(const real *__restrict__ x, real *__restrict__ y,
                                              tap_t *__restrict__ argmax, index_t outputs,
                                              const Pool2dGeometry g) {
    const index_t i = thread_index();
    if (i >= outputs) return;
    const index_t row = i / g.OW, plane = row / g.OH;
    const int h0 = static_cast<int>(row - plane * g.OH) * g.stride_h - g.top;
    const int w0 = static_cast<int>(i - row * g.OW) * g.stride_w - g.left;
    const int kh_first = max(0, -h0), kh_end = min(g.KH, g.H - h0);
    const int kw_first = max(0, -w0), kw_end = min(g.KW, g.W - w0);
    const real *pixels = x + (plane * g.H + h0) * g.W + w0;
    real best = lowest();
    int tap = kh_first * g.KW + kw_first;
    for (int kh = kh_first; kh < kh_end; ++kh) {
        for (int kw = kw_first; kw < kw_end; ++kw) {
            const real v = pixels[static_cast<index_t>(kh) * g.W + kw];
            if (replaces(v, best)) {
                best = v;
                tap = kh * g.KW + kw;
            }
        }
    }
    y[i] = best;
    argmax[i] = static_cast<tap_t>(tap);
}

extern "C" __global__ void max_pool2d_backward(const real *__restrict__ grad_y,
                                               const tap_t *__restrict__ argmax,
                                               real *__restrict__ grad_x, index_t pixels,
                                               const Pool2dGeometry g) {
    const index_t i = thread_index();
    if (i >= pixels) return;
    const index_t row = i / g.W, plane = row / g.H;
    const int h = static_cast<int>(row - plane * g.H) + g.top;
    const int w = static_cast<int>(i - row * g.W) + g.left;
    const int oh_first = h < g.KH ? 0 : (h - g.KH) / g.stride_h + 1;
    const int oh_last = min(g.OH - 1, h / g.stride_h);
    const int ow_first = w < g.KW ? 0 : (w - g.KW) / g.stride_w + 1;
    const int ow_last = min(g.OW - 1, w / g.stride_w);
    real sum = real(0);
    for (int oh = oh_last; oh >= oh_first; --oh) {  // falling windows: the pixel's rising taps
        for (int ow = ow_last; ow >= ow_first; --ow) {
            const index_t o = (plane * g.OH + oh) * g.OW + ow;
            if (argmax[o] == (h - oh * g.stride_h) * g.KW + w - ow * g.stride_w) sum += grad_y[o];
        }
    }
    grad_x[i] = sum;
}

// The pixels under the windows of one thread in row h, -inf outside of the image.
__device__ inline void load_row(const real *plane, int h, int w, int H, int W, real *seen) {
    const bool inside = h >= 0 && h < H;
    const real *row = plane + static_cast<index_t>(h) * W;
    pack<real, VECTOR> middle;
#pragma unroll
    for (int i = 0; i < VECTOR; ++i) middle.lane[i] = lowest();
    if (VECTOR == 4) {
        if (inside) middle = load<VECTOR>(row + w);
    } else {
#pragma unroll
        for (int i = 0; i < VECTOR; ++i)
            if (inside && w + i < W) middle.lane[i] = row[w + i];
    }
#pragma unroll
    for (int i = 0; i < VECTOR; ++i) seen[PAD + i] = middle.lane[i];
    if (WINDOW == 3) {
        const int outer = PAD ? w - 1 : w + VECTOR;
        seen[PAD ? 0 : SPAN - 1] =
            inside && outer >= 0 && outer < W ? row[outer] : lowest();
    }
}

extern "C" __global__ void max_pool2d_forward_stride2(const real *__restrict__ x,
                                                      real *__restrict__ y,
                                                      tap_t *__restrict__ argmax, index_t patches,
                                                      const Pool2dGeometry g) {
    const index_t i = thread_index();
    if (i >= patches) return;
    const int per_row = (g.OW + OUTPUTS - 1) / OUTPUTS;
    const index_t row = i / per_row, plane = row / g.OH;
    const int oh = static_cast<int>(row - plane * g.OH);
    const int ow = static_cast<int>(i - row * per_row) * OUTPUTS;
    real seen[WINDOW][SPAN];
#pragma unroll
    for (int kh = 0; kh < WINDOW; ++kh)
        load_row(x + plane * g.H * g.W, 2 * oh + kh - PAD, 2 * ow, g.H, g.W, seen[kh]);
    pack<real, OUTPUTS> best;
    pack<tap_t, OUTPUTS> best_tap;
#pragma unroll
    for (int j = 0; j < OUTPUTS; ++j) {
        real most = lowest();
        int tap = (oh < PAD ? PAD * WINDOW : 0) + (ow + j < PAD ? PAD : 0);
#pragma unroll
        for (int k = 0; k < WINDOW * WINDOW; ++k) {
            const real v = seen[k / WINDOW][2 * j + k % WINDOW];
            if (replaces(v, most)) {
                most = v;
                tap = k;
            }
        }
        best.lane[j] = most;
        best_tap.lane[j] = static_cast<tap_t>(tap);
    }
    store(y + row * g.OW + ow, best);  // OUTPUTS is 1, or divides OW
    store(argmax + row * g.OW + ow, best_tap);
}

extern "C" __global__ void max_pool2d_backward_stride2(const real *__restrict__ grad_y,
                                                       const tap_t *__restrict__ argmax,
                                                       real *__restrict__ grad_x, index_t patches,
                                                       const Pool2dGeometry g) {
    const index_t i = thread_index();
    if (i >= patches) return;
    const int per_row = (g.W + VECTOR - 1) / VECTOR, rows = (g.H + 1) / 2;
    const index_t row = i / per_row, plane = row / rows;
    const int r = static_cast<int>(row - plane * rows);
    const int q = static_cast<int>(i - row * per_row) * (VECTOR / 2);

    // Window (r + d, q + e), seen from pixel (2r + i, 2q + j), has its tap
    // kh = i + PAD - 2d, kw = j + PAD - 2e there; d is -1, 0, 1 and e is -1 to VECTOR/2.
    // Whether any tap of a window lies in the patch is known to the compiler: it drops the others.
    constexpr int DS = 3, ES = VECTOR / 2 + 2;
    real grad[DS][ES];
    int tap[DS][ES];
#pragma unroll
    for (int d = 0; d < DS; ++d) {
#pragma unroll
        for (int e = 0; e < ES; ++e) {
            const int oh = r + d - 1, ow = q + e - 1;
            const bool inside = oh >= 0 && oh < g.OH && ow >= 0 && ow < g.OW;
            const index_t o = (plane * g.OH + oh) * g.OW + ow;
            grad[d][e] = inside ? grad_y[o] : real(0);
            tap[d][e] = inside ? static_cast<int>(argmax[o]) : -1;
        }
    }
    pack<real, VECTOR> sum[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) {
            real all = real(0);
#pragma unroll
            for (int d = DS - 1; d >= 0; --d) {  // falling windows: the pixel's rising taps
#pragma unroll
                for (int e = ES - 1; e >= 0; --e) {
                    const int kh = i + PAD - 2 * (d - 1), kw = j + PAD - 2 * (e - 1);
                    const bool covers = kh >= 0 && kh < WINDOW && kw >= 0 && kw < WINDOW;
                    if (covers && tap[d][e] == kh * WINDOW + kw) all += grad[d][e];
                }
            }
            sum[i].lane[j] = all;
        }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int h = 2 * r + i, w = 2 * q;
        real *out = grad_x + (plane * g.H + h) * g.W + w;
        if (h < g.H) store_some(out, sum[i], g.W - w, VECTOR == 4);
    }
}
