// The update rules of the optimizers, in place, one pass over memory each.
//
//     g = grad[i] + weight_decay * param[i]
//
//     SGD       velocity[i] = momentum * velocity[i] + g            (Sutskever et al. 2013)
//               param[i] -= learning_rate * (nesterov ? g + momentum * velocity[i] : velocity[i])
//     RMSprop   square_avg[i] = rho * square_avg[i] + (1 - rho) * g^2      (Tieleman, Hinton 2012)
//               param[i] -= learning_rate * g / (sqrt(square_avg[i]) + eps)
//     Adam      m[i] = beta1 * m[i] + (1 - beta1) * g               (Kingma and Ba 2015)
//               v[i] = beta2 * v[i] + (1 - beta2) * g^2
//               param[i] -= learning_rate * (m[i] / (1 - beta1^t))
//                           / (sqrt(v[i] / (1 - beta2^t)) + eps)
//     AdamW     as Adam, with g = grad[i] and first param[i] *= 1 - learning_rate * weight_decay
//
// Layout:  a launch updates up to TENSORS parameters, which a table lists. A parameter, its gradient
//          and its slots are (size,), contiguous. learning_rate is float32 (1,), step and found_inf
//          are uint32 (1,), in device memory, as they change from step to step. found_inf may be
//          null; where it is not zero, nothing is written.
// Owner:   one thread, four neighboring elements; the last thread of a parameter has what is left.
//          A block works on one parameter.
// Launch:  one-dimensional; ceil(size / 4 / threads of a block) blocks for each parameter, and the
//          sum of these in all.
// Limits:  1 - beta^t is -expm1(t * log(beta)): 1 minus a rounded power would lose 1e-5 of itself
//          at t = 1 and beta = 0.999. Numbers such as 1 - beta come from the host, where they are
//          rounded once.
//          The table is an argument, which has at most 4 KB.
// Traffic: bytes an element: SGD 12, with momentum 20, RMSprop 20, Adam 28.
// Ladder:  1. A launch for each parameter: a network has a dozen of them, and most are so small that
//             the launch takes longer than the update.
//          2. One launch for all.
//
// Constants: TENSORS: the length of the table.
#include "common.cuh"
#include "pack.cuh"

#ifndef TENSORS
#define TENSORS 64
#endif

// A parameter. slot[0] is the velocity, square_avg, or m; slot[1] is v. Unused ones are null.
struct Tensor {
    real *param;
    const real *grad;
    real *slot[2];
    index_t size;
    int blocks;  // that work on it
};
struct Table {
    Tensor tensor[TENSORS];
};

// The parameter that this block works on; `first` becomes the first element of the thread.
__device__ inline Tensor find(const Table &table, index_t &first) {
    int t = 0, block = blockIdx.x;
    while (block >= table.tensor[t].blocks) block -= table.tensor[t++].blocks;
    first = (static_cast<index_t>(block) * static_cast<index_t>(blockDim.x) +
             static_cast<index_t>(threadIdx.x)) * 4;
    return table.tensor[t];
}

extern "C" __global__ void sgd_update(const Table table,
                                      const float *__restrict__ learning_rate, real momentum,
                                      int nesterov, real weight_decay,
                                      const unsigned int *__restrict__ found_inf) {
    index_t first;
    const Tensor tensor = find(table, first);
    if (first >= tensor.size || (found_inf != nullptr && *found_inf != 0)) return;
    real *param = tensor.param, *velocity = tensor.slot[0];
    const real *grad = tensor.grad;
    const real rate = *learning_rate;
    const index_t count = tensor.size - first;
    const bool whole =
        count >= 4 && aligned<4>(param) && aligned<4>(grad) && aligned<4>(velocity);
    pack<real, 4> w = load_some<4>(param + first, count, whole);
    pack<real, 4> g = load_some<4>(grad + first, count, whole);
    if (weight_decay != real(0)) {
#pragma unroll
        for (int i = 0; i < 4; ++i) g.lane[i] += weight_decay * w.lane[i];
    }
    if (velocity != nullptr) {
        pack<real, 4> v = load_some<4>(velocity + first, count, whole);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            v.lane[i] = momentum * v.lane[i] + g.lane[i];
            g.lane[i] = nesterov ? g.lane[i] + momentum * v.lane[i] : v.lane[i];
        }
        store_some(velocity + first, v, count, whole);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) w.lane[i] -= rate * g.lane[i];
    store_some(param + first, w, count, whole);
}

extern "C" __global__ void rmsprop_update(const Table table,
                                          const float *__restrict__ learning_rate, real rho,
                                          real one_minus_rho, real eps, real weight_decay,
                                          const unsigned int *__restrict__ found_inf) {
    index_t first;
    const Tensor tensor = find(table, first);
    if (first >= tensor.size || (found_inf != nullptr && *found_inf != 0)) return;
    real *param = tensor.param, *square_avg = tensor.slot[0];
    const real *grad = tensor.grad;
    const real rate = *learning_rate;
    const index_t count = tensor.size - first;
    const bool whole =
        count >= 4 && aligned<4>(param) && aligned<4>(grad) && aligned<4>(square_avg);
    pack<real, 4> w = load_some<4>(param + first, count, whole);
    const pack<real, 4> gradient = load_some<4>(grad + first, count, whole);
    pack<real, 4> s = load_some<4>(square_avg + first, count, whole);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        real g = gradient.lane[i];
        if (weight_decay != real(0)) g += weight_decay * w.lane[i];
        s.lane[i] = rho * s.lane[i] + one_minus_rho * (g * g);
        w.lane[i] -= rate * g / (sqrt(s.lane[i]) + eps);
    }
    store_some(square_avg + first, s, count, whole);
    store_some(param + first, w, count, whole);
}

extern "C" __global__ void adam_update(const Table table,
                                       const float *__restrict__ learning_rate,
                                       const unsigned int *__restrict__ step, real beta1,
                                       real one_minus_beta1, real log_beta1, real beta2,
                                       real one_minus_beta2, real log_beta2, real eps,
                                       real weight_decay, int decoupled,
                                       const unsigned int *__restrict__ found_inf) {
    index_t first;
    const Tensor tensor = find(table, first);
    if (first >= tensor.size || (found_inf != nullptr && *found_inf != 0)) return;
    real *param = tensor.param, *m = tensor.slot[0], *v = tensor.slot[1];
    const real *grad = tensor.grad;
    const index_t count = tensor.size - first;
    const bool whole =
        count >= 4 && aligned<4>(param) && aligned<4>(grad) && aligned<4>(m) && aligned<4>(v);
    pack<real, 4> w = load_some<4>(param + first, count, whole);
    const pack<real, 4> gradient = load_some<4>(grad + first, count, whole);
    pack<real, 4> mean = load_some<4>(m + first, count, whole);
    pack<real, 4> square = load_some<4>(v + first, count, whole);

    const real rate = *learning_rate, t = static_cast<real>(*step);
    const real step_size = rate / -expm1(t * log_beta1);
    const real root_correction = sqrt(-expm1(t * log_beta2));
    const real shrink = decoupled ? real(1) - rate * weight_decay : real(1);
    const real decay = decoupled ? real(0) : weight_decay;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        real g = gradient.lane[i];
        if (decay != real(0)) g += decay * w.lane[i];
        mean.lane[i] = beta1 * mean.lane[i] + one_minus_beta1 * g;
        square.lane[i] = beta2 * square.lane[i] + one_minus_beta2 * (g * g);
        const real change = mean.lane[i] / (sqrt(square.lane[i]) / root_correction + eps);
        w.lane[i] = shrink * w.lane[i] - step_size * change;
    }
    store_some(m + first, mean, count, whole);
    store_some(v + first, square, count, whole);
    store_some(param + first, w, count, whole);
}
