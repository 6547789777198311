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
// Layout:  parameters, gradients and slots are (n,), contiguous. learning_rate is float32 (1,),
//          step and found_inf are uint32 (1,), in device memory, as they change from step to step.
//          found_inf may be null; where it is not zero, nothing is written.
// Owner:   one thread, four neighboring elements; the last thread has what is left.
// Launch:  one-dimensional, ceil(n / 4) threads or more.
// Limits:  1 - beta^t is -expm1(t * log(beta)): 1 minus a rounded power would lose 1e-5 of itself
//          at t = 1 and beta = 0.999. Numbers such as 1 - beta come from the host, where they are
//          rounded once.
// Traffic: bytes an element: SGD 12, with momentum 20, RMSprop 20, Adam 28.
#include "common.cuh"
#include "pack.cuh"

extern "C" __global__ void sgd_update(real *__restrict__ param, const real *__restrict__ grad,
                                      real *__restrict__ velocity, index_t n,
                                      const float *__restrict__ learning_rate, real momentum,
                                      int nesterov, real weight_decay,
                                      const unsigned int *__restrict__ found_inf) {
    const index_t first = thread_index() * 4;
    if (first >= n || (found_inf != nullptr && *found_inf != 0)) return;
    const real rate = *learning_rate;
    const index_t count = n - first;
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

extern "C" __global__ void rmsprop_update(real *__restrict__ param, const real *__restrict__ grad,
                                          real *__restrict__ square_avg, index_t n,
                                          const float *__restrict__ learning_rate, real rho,
                                          real one_minus_rho, real eps, real weight_decay,
                                          const unsigned int *__restrict__ found_inf) {
    const index_t first = thread_index() * 4;
    if (first >= n || (found_inf != nullptr && *found_inf != 0)) return;
    const real rate = *learning_rate;
    const index_t count = n - first;
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

extern "C" __global__ void adam_update(real *__restrict__ param, const real *__restrict__ grad,
                                       real *__restrict__ m, real *__restrict__ v, index_t n,
                                       const float *__restrict__ learning_rate,
                                       const unsigned int *__restrict__ step, real beta1,
                                       real one_minus_beta1, real log_beta1, real beta2,
                                       real one_minus_beta2, real log_beta2, real eps,
                                       real weight_decay, int decoupled,
                                       const unsigned int *__restrict__ found_inf) {
    const index_t first = thread_index() * 4;
    if (first >= n || (found_inf != nullptr && *found_inf != 0)) return;
    const index_t count = n - first;
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
