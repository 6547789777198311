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
// Owner:   a thread takes every (parts * THREADS)-th loss and row, then the sums of a block's threads
//          are added in pairs. A single block ends the step itself. Several write their sums to
//          partial, double (2, parts), and one block of a second kernel adds these up.
// Launch:  parts blocks of THREADS threads, a power of two; the second kernel one block.
// Limits:  losses are summed in double.
// Ladder:  1. As array expressions: 15 launches of kernels that mostly have one element.
//          2. One kernel, of one block for the outputs of a classifier. A thread goes through a row
//             by itself, since most rows have few classes.
//
// Constants: THREADS.
#include "common.cuh"
#include "block_sum.cuh"

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

// Adds the sum of the losses and the right answers to the totals, and counts the step.
__device__ inline void end_step(double sum, double right, index_t count, int N, double *totals,
                                unsigned int *step, unsigned int *found_inf) {
    const double loss = sum / static_cast<double>(count);
    totals[0] += loss * N;
    totals[1] += right;
    if (step == nullptr || *found_inf != 0) return;
    if (loss - loss == 0) {  // neither infinite nor NaN
        *step += 1;
    } else {
        *found_inf = *step + 1;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    accumulate_metrics(const real *__restrict__ losses, const real *__restrict__ outputs,
                       const real *__restrict__ targets, const int *__restrict__ ids, int K,
                       index_t P, real threshold, double *__restrict__ partial, index_t count,
                       int N, double *__restrict__ totals, unsigned int *__restrict__ step,
                       unsigned int *__restrict__ found_inf) {
    __shared__ double sums[THREADS];
    __shared__ double rights[THREADS];
    double sum = 0;
    for (index_t i = thread_index(); i < count; i += thread_count())
        sum += static_cast<double>(losses[i]);
    int right = 0;
    const index_t rows = N * P;
    for (index_t row = thread_index(); row < rows; row += thread_count()) {
        const index_t n = row / P, first = n * K * P + (row - n * P);
        int wanted;
        if (targets != nullptr) {
            wanted = answer(targets + first, K, P, real(0.5));
        } else {
            wanted = K == 1 ? ids[row] > 0 : ids[row];
        }
        right += answer(outputs + first, K, P, threshold) == wanted;
    }
    sum = block_sum(sums, sum);
    const double all_right = block_sum(rights, right);
    if (threadIdx.x > 0) return;
    if (partial == nullptr) {
        end_step(sum, all_right, count, N, totals, step, found_inf);
    } else {
        partial[blockIdx.x] = sum;
        partial[gridDim.x + blockIdx.x] = all_right;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    accumulate_metrics_parts(const double *__restrict__ partial, int parts, index_t count, int N,
                             double *__restrict__ totals, unsigned int *__restrict__ step,
                             unsigned int *__restrict__ found_inf) {
    __shared__ double sums[THREADS];
    __shared__ double rights[THREADS];
    double sum = 0, right = 0;
    for (int part = threadIdx.x; part < parts; part += THREADS) {
        sum += partial[part];
        right += partial[parts + part];
    }
    sum = block_sum(sums, sum);
    right = block_sum(rights, right);
    if (threadIdx.x == 0) end_step(sum, right, count, N, totals, step, found_inf);
}
