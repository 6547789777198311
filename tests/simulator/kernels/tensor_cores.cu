// One product by one warp, operands in row-major order; the layouts are those of ptx.cuh.
#include "common.cuh"
#include "ptx.cuh"

extern "C" __global__ void product_tf32(const float *a, const float *b, float *d) {
    const unsigned int g = threadIdx.x / 4, t = threadIdx.x % 4;
    const unsigned int fragment_a[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]),
                                        to_tf32(a[g * 8 + t + 4]), to_tf32(a[(g + 8) * 8 + t + 4])};
    const unsigned int fragment_b[2] = {to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g])};
    float sums[4];
    for (unsigned int i = 0; i < 4; ++i) sums[i] = d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
    mma_tf32(sums, fragment_a, fragment_b);
    for (unsigned int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = sums[i];
}

extern "C" __global__ void product_bf16(const float *a, const float *b, float *d) {
    const unsigned int g = threadIdx.x / 4, t = threadIdx.x % 4;
    unsigned int fragment_a[4], fragment_b[2];
    for (unsigned int i = 0; i < 4; ++i) {
        const float *pair = a + (g + 8 * (i % 2)) * 16 + 2 * t + 8 * (i / 2);
        fragment_a[i] = to_bf16_pair(pair[0], pair[1]);
    }
    for (unsigned int i = 0; i < 2; ++i) {
        const float *pair = b + (2 * t + 8 * i) * 8 + g;
        fragment_b[i] = to_bf16_pair(pair[0], pair[8]);
    }
    float sums[4];
    for (unsigned int i = 0; i < 4; ++i) sums[i] = d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
    mma_bf16(sums, fragment_a, fragment_b);
    for (unsigned int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = sums[i];
}

extern "C" __global__ void rounded(const float *x, float *tf32, float *low, float *high) {
    const unsigned int t = threadIdx.x;
    tf32[t] = __uint_as_float(to_tf32(x[t]));
    const unsigned int pair = to_bf16_pair(x[t], -x[t]);
    low[t] = __uint_as_float(pair << 16);
    high[t] = __uint_as_float(pair & 0xffff0000u);
}
