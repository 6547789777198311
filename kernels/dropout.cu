// Inverted dropout: the mask drawn, applied and stored in one pass; and its gradient.
//
//     mask[i] = bits(i, step, key) < threshold          the 32 bits of element i, by Philox
//     y[i]    = mask[i] ? x[i] * scale : 0
//     grad_x[i] = mask[i] ? grad_y[i] * scale : 0       a NaN or inf that is dropped does not pass
//
// Layout:  x, y, grad are (n,), mask is uint8 (n,), all contiguous. step is uint32 (1,) in device
//          memory. threshold is (1 - rate) * 2^32 and has 64 bits: at rate 0 it is 2^32.
// Owner:   one thread, four neighboring elements: those of one Philox counter.
// Launch:  one-dimensional, ceil(n / 4) threads or more.
// Limits:  n < 2^34 elements.
// Traffic: 9 bytes an element: one read and one write of a float, one byte of the mask.
// Ladder:  a mask drawn by one kernel as uint32, compared by a second and applied by a third moves
//          18 bytes an element; here the random bits never leave the registers.
#include "common.cuh"
#include "pack.cuh"
#include "philox.cuh"

extern "C" __global__ void dropout_forward(const real *__restrict__ x, real *__restrict__ y,
                                           unsigned char *__restrict__ mask, index_t n,
                                           unsigned int key0, unsigned int key1,
                                           const unsigned int *__restrict__ step,
                                           unsigned long long threshold, real scale) {
    const index_t first = thread_index() * 4;
    if (first >= n) return;
    const index_t count = n - first;
    const bool whole = count >= 4 && aligned<4>(x) && aligned<4>(y) && aligned<4>(mask);
    pack<real, 4> value = load_some<4>(x + first, count, whole);
    const philox4 bits =
        philox_at(static_cast<unsigned long long>(first / 4), *step, key0, key1);
    pack<unsigned char, 4> kept;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        kept.lane[i] = bits.lane[i] < threshold;
        value.lane[i] = kept.lane[i] ? value.lane[i] * scale : real(0);
    }
    store_some(y + first, value, count, whole);
    store_some(mask + first, kept, count, whole);
}

extern "C" __global__ void dropout_backward(const real *__restrict__ grad_y,
                                            const unsigned char *__restrict__ mask,
                                            real *__restrict__ grad_x, index_t n, real scale) {
    const index_t first = thread_index() * 4;
    if (first >= n) return;
    const index_t count = n - first;
    const bool whole = count >= 4 && aligned<4>(grad_y) && aligned<4>(mask) && aligned<4>(grad_x);
    pack<real, 4> grad = load_some<4>(grad_y + first, count, whole);
    const pack<unsigned char, 4> kept = load_some<4>(mask + first, count, whole);
#pragma unroll
    for (int i = 0; i < 4; ++i) grad.lane[i] = kept.lane[i] ? grad.lane[i] * scale : real(0);
    store_some(grad_x + first, grad, count, whole);
}
