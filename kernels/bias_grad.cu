// The gradient of a bias: the sum over all axes but the channels.
//
//     grad_b[c] = sum_{n,p} grad_y[n,c,p]
//
// Layout:  grad_y is (N, C, P) with P the product of the other axes (1 for a dense layer), partial
//          (C, parts), grad_b (C,), all contiguous.
// Owner:   bias_grad_partial: a block of THREADS, one part of one channel, or of 32 where P is 1
//          (channels.cuh). bias_grad_sum: one warp, one channel.
// Launch:  bias_grad_partial: grid (ceil(C / lanes), parts), block THREADS.
//          bias_grad_sum: one-dimensional, 32 C threads or more.
// Traffic: 4 bytes an element of grad_y; partial is small.
// Ladder:  a block a channel leaves most of a GPU idle, as there are few channels; parts fill it.
//          Packs of four then quarter the instructions.
#include "channels.cuh"

template <int V>
__device__ inline real part_sum(const real *grad_y, channel_walk<V> at) {
    const bool whole = aligned<V>(grad_y);
    real sum = real(0);
#pragma unroll 4
    for (; at.left > 0; at.advance()) {
        const pack<real, V> value = load_some<V>(grad_y + at.offset, V, whole);
#pragma unroll
        for (int i = 0; i < V; ++i) sum += value.lane[i];
    }
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    bias_grad_partial(const real *__restrict__ grad_y, real *__restrict__ partial, int N, int C,
                      index_t P, int lanes) {
    __shared__ real sums[THREADS];
    const int thread = threadIdx.x, worker = thread / lanes, workers = THREADS / lanes;
    const int channel = blockIdx.x * lanes + thread % lanes;
    real sum = real(0);
    if (channel < C) {
        sum = P % 4 == 0 ? part_sum<4>(grad_y, {N, C, P, channel, worker, workers})
                         : part_sum<1>(grad_y, {N, C, P, channel, worker, workers});
    }
    sums[thread] = sum;
    __syncthreads();
    for (int half = THREADS / 2; half >= lanes; half /= 2) {
        if (thread < half) sums[thread] += sums[thread + half];
        __syncthreads();
    }
    if (thread < lanes && channel < C)
        partial[static_cast<index_t>(channel) * gridDim.y + blockIdx.y] = sums[thread];
}

extern "C" __global__ void bias_grad_sum(const real *__restrict__ partial,
                                         real *__restrict__ grad_b, int C, int parts) {
    const index_t channel = warp_index();
    if (channel >= C) return;
    const int lane = threadIdx.x % WARP;
    real sum = real(0);
    for (int part = lane; part < parts; part += WARP) sum += partial[channel * parts + part];
    sum = warp_sum(sum);
    if (lane == 0) grad_b[channel] = sum;
}
