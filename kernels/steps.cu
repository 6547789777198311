// The start of a training step: the images of its batch, and its learning rate. And a counter.
//
//     indices[b] = order[place + b]       -1 where that is outside of [0, M)
//     learning_rate = rates[min(step, T - 1)]
//     place += B
//
//     counter += 1
//
// Layout:  order is int32 (M,), indices int32 (B,), rates float32 (T,); place, step and counter are
//          uint32 (1,), learning_rate is float32 (1,), all in device memory. rates, step and
//          learning_rate may all three be null.
// Owner:   one thread, every blockDim.x-th index; the first thread has the rest.
// Launch:  one block: the place changes when all of its threads have read it. The counter: one thread.
// Ladder:  1. The host cuts the order into batches and passes their addresses: each step then has
//             other arguments, and no graph can hold it.
//          2. The place is in device memory, and the same launch gives the next batch each time.
#include "common.cuh"

extern "C" __global__ void begin_step(unsigned int *__restrict__ place,
                                      const int *__restrict__ order, int *__restrict__ indices,
                                      int M, int B, const float *__restrict__ rates,
                                      const unsigned int *__restrict__ step,
                                      float *__restrict__ learning_rate, int T) {
    const unsigned int first = *place;
    for (int b = threadIdx.x; b < B; b += blockDim.x) {
        const long long at = static_cast<long long>(first) + b;
        indices[b] = at < M ? order[at] : -1;
    }
    if (threadIdx.x == 0 && rates != nullptr)
        *learning_rate = rates[min(*step, static_cast<unsigned int>(T - 1))];
    __syncthreads();
    if (threadIdx.x == 0) *place = first + static_cast<unsigned int>(B);
}

extern "C" __global__ void increment(unsigned int *__restrict__ counter) { *counter += 1; }
