// Adds a batch to the totals of a training, counts the step, and halts the training at a loss that
// is not finite.
//
//     loss = sum_i losses[i] / count
//     totals[0] += loss * N
//     totals[1] += number of rows r with answer(outputs, r) = answer(targets, r)
//     found_inf = 0:  step += 1 if loss is finite, else found_inf = step + 1
//
//     answer(x, n P + p) = the first k with the largest x[n,k,p], a NaN being the largest of all;
//     of a single class (K = 1): whether x[n,0,p] > threshold for outputs, > 1/2 for targets
//
// Layout:  losses is (count,), outputs and targets are (N, K, P), totals is double (2,), step and
//          found_inf are uint32 (1,), all contiguous. Class ids, int32 (N P,), may stand in the
//          place of targets, which are then null. step and found_inf may both be null.
// Owner:   one block does it all, as a later kernel would wait for the sums of several. A thread
//          takes the losses and rows thread, thread + THREADS, ..., then the sums of all threads
//          are added in pairs: the order depends on THREADS alone.
// Launch:  one block of THREADS threads, a power of two.
// Limits:  losses are summed in double and the mean is rounded to `real`.
// Ladder:  1. As array expressions: 15 launches of kernels that mostly have one element.
//          2. One kernel. A thread goes through a row by itself, since most rows have few classes.
//
// Constants: THREADS.
#include "common.cuh"

#ifndef THREADS
#define THREADS 256
#endif

// The class of a row: x[0], x[stride], ...; `half` is what a single one is compared with.
__device__ inline int answer(const real *x, int K, index_t stride, real half) {
    if (K == 1) return x[0] > half;
    int best = 0;
    real largest = x[0];
    for (int k = 1; k < K; ++k) {
        const real value = x[k * stride];
        if (value > largest || (value != value && largest == largest)) {
            best = k;
            largest = value;
        }
    }
    return best;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    accumulate_metrics(const real *__restrict__ losses, index_t count,
                       const real *__restrict__ outputs, const real *__restrict__ targets,
                       const int *__restrict__ ids, int N, int K, index_t P, real threshold,
                       double *__restrict__ totals, unsigned int *__restrict__ step,
                       unsigned int *__restrict__ found_inf) {
    __shared__ double sums[THREADS];
    __shared__ int rights[THREADS];
    const int thread = threadIdx.x;
    double sum = 0;
    for (index_t i = thread; i < count; i += THREADS) sum += static_cast<double>(losses[i]);
    int right = 0;
    const index_t rows = N * P;
    for (index_t row = thread; row < rows; row += THREADS) {
        const index_t n = row / P, first = n * K * P + (row - n * P);
        int wanted;
        if (targets != nullptr) {
            wanted = answer(targets + first, K, P, real(0.5));
        } else {
            wanted = K == 1 ? ids[row] > 0 : ids[row];
        }
        right += answer(outputs + first, K, P, threshold) == wanted;
    }
    sums[thread] = sum;
    rights[thread] = right;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (thread < half) {
            sums[thread] += sums[thread + half];
            rights[thread] += rights[thread + half];
        }
        __syncthreads();
    }
    if (thread > 0) return;
    const real loss = static_cast<real>(sums[0] / static_cast<double>(count));
    totals[0] += static_cast<double>(loss) * N;
    totals[1] += rights[0];
    if (step == nullptr || *found_inf != 0) return;
    if (loss - loss == real(0)) {  // neither infinite nor NaN
        *step += 1;
    } else {
        *found_inf = *step + 1;
    }
}
