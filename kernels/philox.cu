// Random bits of a stream at one step.
//
//     out[i] = lane i % 4 of philox4x32(counter = (i / 4, step), key)          i / 4 has 64 bits
//
// Layout:  out is uint32 (n,), contiguous. step is uint32 (1,) in device memory, as it changes from
//          one launch to the next of a captured graph. key is the stream's,
//          gpucnn.random.stream_key.
// Owner:   one thread, one counter: four consecutive elements, the last thread fewer.
// Launch:  one-dimensional, ceil(n / 4) threads or more.
// Limits:  n < 2^34 elements.
// Traffic: 4 bytes an element, and five multiplications of 32 bits: ten rounds of two for four
//          elements.
#include "philox.cuh"

extern "C" __global__ void philox_bits(unsigned int *out, unsigned long long n, unsigned int key0,
                                       unsigned int key1, const unsigned int *step) {
    const unsigned long long index =
        static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index * 4 >= n) return;
    const philox4 bits = philox_at(index, *step, key0, key1);
    for (int lane = 0; lane < 4; ++lane) {
        const unsigned long long i = index * 4 + lane;
        if (i < n) out[i] = bits.lane[lane];
    }
}
