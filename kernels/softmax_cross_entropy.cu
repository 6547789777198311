// Softmax cross-entropy of class ids, and its gradient.
//
//     total[n] = sum_k exp(logits[n,k] - max_k logits[n,k])
//     probabilities[n,k] = exp(logits[n,k] - max) / total[n]
//     losses[n] = log(total[n]) - (logits[n, labels[n]] - max)
//
//     grad_logits[n,k] = (probabilities[n,k] - [k = labels[n]]) * grad[n]
//
// Layout:  logits, probabilities and grad_logits are (N, K), losses and grad (N,), labels int32
//          (N,), all contiguous.
// Owner:   forward: one warp, one row. Backward: one thread, one element.
// Launch:  one-dimensional; forward 32 N threads or more, backward N * K.
// Limits:  any K >= 1. A label outside [0, K) gives a loss of NaN, and a row of NaN backward.
// Traffic: 8 bytes an element, forward and backward.
// Ladder:  maximum, exponentials, sum, quotient and logarithm as array expressions are five passes.
//          A warp keeps its row in the L1 cache, reads it three times from there, and needs no
//          barrier; exp is taken twice rather than stored and read again.
#include "common.cuh"

extern "C" __global__ void softmax_cross_entropy_forward(const real *__restrict__ logits,
                                                         const int *__restrict__ labels,
                                                         real *__restrict__ losses,
                                                         real *__restrict__ probabilities, int N,
                                                         int K) {
    const index_t n = warp_index();
    if (n >= N) return;
    const int lane = threadIdx.x % WARP;
    const real *row = logits + n * K;

    // A NaN may be passed over here: its own exponential is NaN, and so is the total.
    real largest = -static_cast<real>(__int_as_float(0x7f800000));
    for (int k = lane; k < K; k += WARP) largest = max(largest, row[k]);
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        largest = max(largest, __shfl_xor_sync(ALL_LANES, largest, offset));

    real total = real(0);
    for (int k = lane; k < K; k += WARP) total += exp(row[k] - largest);
    total = warp_sum(total);

    for (int k = lane; k < K; k += WARP) probabilities[n * K + k] = exp(row[k] - largest) / total;
    if (lane == 0) {
        const int label = labels[n];
        const bool valid = label >= 0 && label < K;
        losses[n] = valid ? log(total) - (row[label] - largest) : quiet_nan();
    }
}

extern "C" __global__ void softmax_cross_entropy_backward(
    const real *__restrict__ probabilities, const int *__restrict__ labels,
    const real *__restrict__ grad, real *__restrict__ grad_logits, int N, int K) {
    const index_t i = thread_index(), n = i / K;
    if (n >= N) return;
    const int k = static_cast<int>(i - n * K), label = labels[n];
    const bool valid = label >= 0 && label < K;
    const real hit = k == label ? real(1) : real(0);
    grad_logits[i] = valid ? (probabilities[i] - hit) * grad[n] : quiet_nan();
}
