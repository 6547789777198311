// Scales all gradients of a step together, so that their joint norm is at most max_norm.
//
//     norm = sqrt(sum of all grad[i]^2)
//     out[i] = grad[i] * factor        factor = min(1, max_norm / (norm + 1e-6)), NaN if norm is NaN
//
//     found_inf = 0 if halted = 0 and norm is finite, else 1, and factor = 1;  step += 1 - found_inf
//
// (Pascanu, Mikolov and Bengio 2013, section 3.2, with PyTorch's 1e-6.)
//
// Layout:  a launch works on up to TENSORS gradients, which a table lists: grad and out are (size,),
//          contiguous. partial is (parts,), norm and factor are (1,), all double; halted, step and
//          found_inf are uint32 (1,). The last three may all be null.
// Owner:   squared_norm: a block has one part of one gradient, and a thread of it every (blocks *
//          THREADS)-th element. clip_factor: one block adds the parts of all gradients.
//          scale_gradients: one thread, four neighboring elements, as in optimizer.cu.
// Launch:  squared_norm and scale_gradients: the blocks of all gradients of the table, of THREADS
//          threads each, a power of two; clip_factor one block.
// Limits:  squares are summed in double, where those of floats do not overflow. The order of the
//          sums follows from the sizes and the device.
// Traffic: 12 bytes an element: two reads and one write.
// Ladder:  1. As array expressions: five kernels for each gradient, most of which are small.
//          2. Three kernels for all. The scaled gradients are new arrays: two parameters may be
//             given one array, which would be scaled twice in place.
//
// Constants: THREADS; TENSORS: the length of the table.
#include "common.cuh"
#include "pack.cuh"
#include "block_sum.cuh"

#ifndef TENSORS
#define TENSORS 64
#endif

struct Gradient {
    const real *grad;
    real *out;  // null in squared_norm
    index_t size;
    int blocks;  // that work on it
};
struct Gradients {
    Gradient gradient[TENSORS];
};

// The gradient that this block works on; `block` becomes the number of the block among its own.
__device__ inline Gradient find(const Gradients &table, int &block) {
    int t = 0;
    block = blockIdx.x;
    while (block >= table.gradient[t].blocks) block -= table.gradient[t++].blocks;
    return table.gradient[t];
}

extern "C" __global__ void __launch_bounds__(THREADS)
    squared_norm(const Gradients table, double *__restrict__ partial, int first) {
    __shared__ double sums[THREADS];
    int block;
    const Gradient gradient = find(table, block);
    const index_t stride = static_cast<index_t>(gradient.blocks) * THREADS;
    double sum = 0;
    for (index_t i = static_cast<index_t>(block) * THREADS + static_cast<index_t>(threadIdx.x);
         i < gradient.size; i += stride) {
        const double value = static_cast<double>(gradient.grad[i]);
        sum += value * value;
    }
    sum = block_sum(sums, sum);
    if (threadIdx.x == 0) partial[first + static_cast<int>(blockIdx.x)] = sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    clip_factor(const double *__restrict__ partial, int parts, double max_norm,
                double *__restrict__ norm, double *__restrict__ factor,
                const unsigned int *__restrict__ halted, unsigned int *__restrict__ step,
                unsigned int *__restrict__ found_inf) {
    __shared__ double sums[THREADS];
    double sum = 0;
    for (int part = threadIdx.x; part < parts; part += THREADS) sum += partial[part];
    sum = block_sum(sums, sum);
    if (threadIdx.x > 0) return;
    const double root = sqrt(sum), ratio = max_norm / (root + 1e-6);
    *norm = root;
    *factor = ratio > 1 ? 1 : ratio;
    if (step == nullptr) return;
    const bool counts = *halted == 0 && root - root == 0;  // neither infinite nor NaN
    *step += counts ? 1 : 0;
    *found_inf = counts ? 0 : 1;
    if (!counts) *factor = 1;  // no update takes the gradients: they show where they went wrong
}

extern "C" __global__ void scale_gradients(const Gradients table,
                                           const double *__restrict__ factor) {
    int block;
    const Gradient gradient = find(table, block);
    const index_t first = (static_cast<index_t>(block) * static_cast<index_t>(blockDim.x) +
                           static_cast<index_t>(threadIdx.x)) * 4;
    if (first >= gradient.size) return;
    const index_t count = gradient.size - first;
    const bool whole = count >= 4 && aligned<4>(gradient.grad) && aligned<4>(gradient.out);
    const real scale = static_cast<real>(*factor);
    pack<real, 4> value = load_some<4>(gradient.grad + first, count, whole);
#pragma unroll
    for (int i = 0; i < 4; ++i) value.lane[i] *= scale;
    store_some(gradient.out + first, value, count, whole);
}
