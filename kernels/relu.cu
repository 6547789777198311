// The gradient of a ReLU, from its output.
//
//     grad_x[i] = grad_y[i] if y[i] > 0 else 0          a NaN in y stops the gradient, as 0 does
//
// Layout:  all three are (n,), contiguous.
// Owner:   one thread, four neighboring elements; the last thread has what is left.
// Launch:  one-dimensional, ceil(n / 4) threads or more.
// Traffic: 12 bytes an element: two reads, one write.
// Ladder:  one element a thread is bound by the number of loads on their way; four by one
//          instruction each keep four times as many bytes in flight.
#include "common.cuh"
#include "pack.cuh"

extern "C" __global__ void relu_backward(const real *__restrict__ grad_y,
                                         const real *__restrict__ y, real *__restrict__ grad_x,
                                         index_t n) {
    const index_t first = thread_index() * 4;
    if (first >= n) return;
    const index_t count = n - first;
    const bool whole = count >= 4 && aligned<4>(grad_y) && aligned<4>(y) && aligned<4>(grad_x);
    pack<real, 4> grad = load_some<4>(grad_y + first, count, whole);
    const pack<real, 4> gate = load_some<4>(y + first, count, whole);
#pragma unroll
    for (int i = 0; i < 4; ++i) grad.lane[i] = gate.lane[i] > real(0) ? grad.lane[i] : real(0);
    store_some(grad_x + first, grad, count, whole);
}
