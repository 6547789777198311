// Batch normalization by channel, and its gradients (Ioffe and Szegedy 2015).
//
//     mean[c] = sum_{n,p} x[n,c,p] / M                      M = N * P
//     var[c] = sum_{n,p} (x[n,c,p] - mean[c])^2 / M
//     y[n,c,p] = gamma[c] * xhat[n,c,p] + beta[c],   xhat = (x - mean[c]) / sqrt(var[c] + eps)
//
//     grad_beta[c]  = sum_{n,p} grad_y[n,c,p]
//     grad_gamma[c] = sum_{n,p} grad_y[n,c,p] * xhat[n,c,p]
//     grad_x = gamma[c] / sqrt(var[c] + eps)
//              * (grad_y - grad_beta[c] / M - xhat * grad_gamma[c] / M)
//
// Layout:  x, y and their gradients are (N, C, P) with P the product of the other axes (1 for a
//          dense layer), what belongs to a channel (C,), partial (3, C, parts) forward and (2, C,
//          parts) backward, all contiguous.
// Owner:   *_partial: a block of THREADS, one part of one channel, or of 32 where P is 1
//          (channels.cuh). *_channels: one warp, one channel. *_output: one thread, four elements.
// Launch:  *_partial: grid (ceil(C / lanes), parts), block THREADS. *_channels: one-dimensional, 32
//          C threads or more. *_output: one-dimensional, ceil(N * C * P / 4) threads or more.
// Limits:  M >= 1.
// Traffic: 12 bytes an element forward (two reads, one write), 20 backward (four reads, one write).
// Ladder:  mean and then variance are two passes, and E[x^2] - E[x]^2 in one pass is wrong by its
//          rounding where the mean is far from zero. Here a pass keeps (count, mean, m2) with m2
//          the sum of squared distances from the mean, and joins such triples (Chan, Golub, LeVeque
//          1979).
#include "channels.cuh"

struct moments {
    real count, mean, m2;
};

__device__ inline moments joined(const moments &a, const moments &b) {
    const real count = a.count + b.count;
    const real share = count > real(0) ? b.count / count : real(0);
    const real distance = b.mean - a.mean;
    return {count, a.mean + distance * share,
            a.m2 + b.m2 + distance * (distance * (a.count * share))};
}

template <int V>
__device__ inline moments part_moments(const real *x, channel_walk<V> at) {
    const bool whole = aligned<V>(x);
    moments all = {real(0), real(0), real(0)};
#pragma unroll 2
    for (; at.left > 0; at.advance()) {
        const pack<real, V> value = load_some<V>(x + at.offset, V, whole);
        moments four = {real(V), real(0), real(0)};
#pragma unroll
        for (int i = 0; i < V; ++i) four.mean += value.lane[i] * (real(1) / V);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const real distance = value.lane[i] - four.mean;
            four.m2 += distance * distance;
        }
        all = joined(all, four);
    }
    return all;
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    batch_norm_forward_partial(const real *__restrict__ x, real *__restrict__ partial, int N, int C,
                               index_t P, int lanes) {
    __shared__ real count[THREADS];
    __shared__ real mean[THREADS];
    __shared__ real m2[THREADS];
    const int thread = threadIdx.x, worker = thread / lanes, workers = THREADS / lanes;
    const int channel = blockIdx.x * lanes + thread % lanes;
    moments all = {real(0), real(0), real(0)};
    if (channel < C) {
        all = P % 4 == 0 ? part_moments<4>(x, {N, C, P, channel, worker, workers})
                         : part_moments<1>(x, {N, C, P, channel, worker, workers});
    }
    for (int half = THREADS / 2; half >= lanes; half /= 2) {
        count[thread] = all.count;
        mean[thread] = all.mean;
        m2[thread] = all.m2;
        __syncthreads();
        if (thread < half)
            all = joined(all, {count[thread + half], mean[thread + half], m2[thread + half]});
        __syncthreads();
    }
    if (thread < lanes && channel < C) {
        const index_t stride = static_cast<index_t>(C) * gridDim.y;
        const index_t at = static_cast<index_t>(channel) * gridDim.y + blockIdx.y;
        partial[at] = all.count;
        partial[at + stride] = all.mean;
        partial[at + 2 * stride] = all.m2;
    }
}

extern "C" __global__ void batch_norm_forward_channels(const real *__restrict__ partial,
                                                       real *__restrict__ mean,
                                                       real *__restrict__ var, int C, int parts) {
    const index_t channel = warp_index();
    if (channel >= C) return;
    const int lane = threadIdx.x % WARP;
    const index_t stride = static_cast<index_t>(C) * parts;
    moments all = {real(0), real(0), real(0)};
    for (int part = lane; part < parts; part += WARP) {
        const index_t at = channel * parts + part;
        all = joined(all, {partial[at], partial[at + stride], partial[at + 2 * stride]});
    }
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
        all = joined(all, {__shfl_xor_sync(ALL_LANES, all.count, offset),
                           __shfl_xor_sync(ALL_LANES, all.mean, offset),
                           __shfl_xor_sync(ALL_LANES, all.m2, offset)});
    }
    if (lane == 0) {
        mean[channel] = all.mean;
        var[channel] = all.m2 / all.count;
    }
}

extern "C" __global__ void batch_norm_forward_output(
    const real *__restrict__ x, const real *__restrict__ gamma, const real *__restrict__ beta,
    const real *__restrict__ mean, const real *__restrict__ var, real *__restrict__ y, index_t n,
    int C, index_t P, real eps) {
    const index_t first = thread_index() * 4;
    if (first >= n) return;
    const index_t count = n - first;
    const bool whole = count >= 4 && aligned<4>(x) && aligned<4>(y);
    pack<real, 4> value = load_some<4>(x + first, count, whole);
    const index_t run = first / P;
    index_t left = (run + 1) * P - first;  // elements of this channel's run
    int c = static_cast<int>(run % C);
    real scale = gamma[c] / sqrt(var[c] + eps);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (left == 0) {
            left = P;
            c = c + 1 < C ? c + 1 : 0;
            scale = gamma[c] / sqrt(var[c] + eps);
        }
        --left;
        value.lane[i] = (value.lane[i] - mean[c]) * scale + beta[c];
    }
    store_some(y + first, value, count, whole);
}

// Sums of grad_y and of grad_y * (x - mean).
struct gradient_sums {
    real grad, product;
};

template <int V>
__device__ inline gradient_sums part_sums(const real *grad_y, const real *x, real mean,
                                          channel_walk<V> at) {
    const bool whole = aligned<V>(grad_y) && aligned<V>(x);
    gradient_sums sum = {real(0), real(0)};
#pragma unroll 2
    for (; at.left > 0; at.advance()) {
        const pack<real, V> grad = load_some<V>(grad_y + at.offset, V, whole);
        const pack<real, V> value = load_some<V>(x + at.offset, V, whole);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            sum.grad += grad.lane[i];
            sum.product += grad.lane[i] * (value.lane[i] - mean);
        }
    }
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    batch_norm_backward_partial(const real *__restrict__ grad_y, const real *__restrict__ x,
                                const real *__restrict__ mean, real *__restrict__ partial, int N,
                                int C, index_t P, int lanes) {
    __shared__ real grads[THREADS];
    __shared__ real products[THREADS];
    const int thread = threadIdx.x, worker = thread / lanes, workers = THREADS / lanes;
    const int channel = blockIdx.x * lanes + thread % lanes;
    gradient_sums sum = {real(0), real(0)};
    if (channel < C) {
        const real m = mean[channel];
        sum = P % 4 == 0 ? part_sums<4>(grad_y, x, m, {N, C, P, channel, worker, workers})
                         : part_sums<1>(grad_y, x, m, {N, C, P, channel, worker, workers});
    }
    grads[thread] = sum.grad;
    products[thread] = sum.product;
    __syncthreads();
    for (int half = THREADS / 2; half >= lanes; half /= 2) {
        if (thread < half) {
            grads[thread] += grads[thread + half];
            products[thread] += products[thread + half];
        }
        __syncthreads();
    }
    if (thread < lanes && channel < C) {
        const index_t at = static_cast<index_t>(channel) * gridDim.y + blockIdx.y;
        partial[at] = grads[thread];
        partial[at + static_cast<index_t>(C) * gridDim.y] = products[thread];
    }
}

extern "C" __global__ void batch_norm_backward_channels(const real *__restrict__ partial,
                                                        const real *__restrict__ var,
                                                        real *__restrict__ grad_gamma,
                                                        real *__restrict__ grad_beta, int C,
                                                        int parts, real eps) {
    const index_t channel = warp_index();
    if (channel >= C) return;
    const int lane = threadIdx.x % WARP;
    gradient_sums sum = {real(0), real(0)};
    for (int part = lane; part < parts; part += WARP) {
        const index_t at = channel * parts + part;
        sum.grad += partial[at];
        sum.product += partial[at + static_cast<index_t>(C) * parts];
    }
    sum = {warp_sum(sum.grad), warp_sum(sum.product)};
    if (lane == 0) {
        grad_beta[channel] = sum.grad;
        grad_gamma[channel] = sum.product / sqrt(var[channel] + eps);
    }
}

extern "C" __global__ void batch_norm_backward_output(
    const real *__restrict__ grad_y, const real *__restrict__ x, const real *__restrict__ gamma,
    const real *__restrict__ mean, const real *__restrict__ var,
    const real *__restrict__ grad_gamma, const real *__restrict__ grad_beta,
    real *__restrict__ grad_x, index_t n, int C, index_t P, real M, real eps) {
    const index_t first = thread_index() * 4;
    if (first >= n) return;
    const index_t count = n - first;
    const bool whole = count >= 4 && aligned<4>(grad_y) && aligned<4>(x) && aligned<4>(grad_x);
    pack<real, 4> grad = load_some<4>(grad_y + first, count, whole);
    const pack<real, 4> value = load_some<4>(x + first, count, whole);
    const index_t run = first / P;
    index_t left = (run + 1) * P - first;  // elements of this channel's run
    int c = static_cast<int>(run % C);
    real inverse_std = real(1) / sqrt(var[c] + eps);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (left == 0) {
            left = P;
            c = c + 1 < C ? c + 1 : 0;
            inverse_std = real(1) / sqrt(var[c] + eps);
        }
        --left;
        const real xhat = (value.lane[i] - mean[c]) * inverse_std;
        grad.lane[i] = gamma[c] * inverse_std *
                       (grad.lane[i] - grad_beta[c] / M - xhat * (grad_gamma[c] / M));
    }
    store_some(grad_x + first, grad, count, whole);
}
