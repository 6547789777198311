// The PTX that C++ has no words for: asynchronous copies and tensor cores. No other file has any.
//
// The simulator has a twin of each helper below its device form. Its copies arrive at the wait and
// leave NaN in their place until then, so that a missing wait is seen.
//
// Layouts of the fragments of mma.m16n8k* (PTX ISA, "Matrix Fragments for mma.m16n8k8" and
// "...m16n8k16"), with g = lane / 4 and t = lane % 4:
//
//     accumulator   d[0], d[1]: row g,     columns 2t, 2t + 1      d[2], d[3]: row g + 8, likewise
//     tf32, k8      a[0]: (g, t)   a[1]: (g + 8, t)   a[2]: (g, t + 4)   a[3]: (g + 8, t + 4)
//                   b[0]: (t, g)   b[1]: (t + 4, g)                      as (row, column)
//     bf16, k16     the same with pairs: a[0]: (g, 2t), (g, 2t + 1)   a[1]: rows g + 8
//                   a[2], a[3]: columns + 8   b[0]: (2t, g), (2t + 1, g)   b[1]: rows + 8
//                   The first of a pair is in the low half.
#pragma once

#ifndef GPUCNN_SIMULATOR

// ---- asynchronous copies from global to shared memory; plain ones before sm_80 -----------------

// Copies `bytes` (4, 8 or 16; both addresses aligned to that). The first `valid` of them, a
// multiple of 4, are read and the others are zero: 0 for what lies outside of a tensor.
template <int bytes>
__device__ __forceinline__ void copy_async(void *to_shared, const void *from, int valid = bytes) {
    static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async moves 4, 8 or 16 bytes");
#if __CUDA_ARCH__ >= 800
    const unsigned int to = static_cast<unsigned int>(__cvta_generic_to_shared(to_shared));
    if (bytes == 16)  // .cg passes by the L1 cache, which it does not need
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                     "r"(valid) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from),
                     "n"(bytes), "r"(valid) : "memory");
#else
    const unsigned int *words = static_cast<const unsigned int *>(from);
    unsigned int *out = static_cast<unsigned int *>(to_shared);
#pragma unroll
    for (int i = 0; i < bytes / 4; ++i) out[i] = 4 * i < valid ? words[i] : 0u;
#endif
}

// Ends a group of copies.
__device__ __forceinline__ void copy_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most `pending` groups of this thread are under way. A barrier makes the copies of
// other threads visible.
template <int pending>
__device__ __forceinline__ void copy_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

// ---- tensor cores, from sm_80 on: d += a * b by a warp, whose lanes all take part --------------

// A float with 10 bits of mantissa, rounded to nearest, ties away from zero.
template <int architecture = __CUDA_ARCH__>
__device__ __forceinline__ unsigned int to_tf32(float value) {
    static_assert(architecture >= 800, "tf32 needs sm_80");
    unsigned int bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

// Two floats with 7 bits of mantissa, rounded to nearest, ties to even.
template <int architecture = __CUDA_ARCH__>
__device__ __forceinline__ unsigned int to_bf16_pair(float low, float high) {
    static_assert(architecture >= 800, "bf16 needs sm_80");
    unsigned int bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}

// (16, 8) += (16, 8) * (8, 8)
template <int architecture = __CUDA_ARCH__>
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned int (&a)[4],
                                         const unsigned int (&b)[2]) {
    static_assert(architecture >= 800, "mma of tf32 needs sm_80");
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// (16, 8) += (16, 16) * (16, 8)
template <int architecture = __CUDA_ARCH__>
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned int (&a)[4],
                                         const unsigned int (&b)[2]) {
    static_assert(architecture >= 800, "mma of bf16 needs sm_80");
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else  // GPUCNN_SIMULATOR

template <int bytes>
inline void copy_async(void *to_shared, const void *from, int valid = bytes, GPUCNN_SITE) {
    static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async moves 4, 8 or 16 bytes");
    simulator::copy_async(to_shared, from, bytes, valid, file, line);
}

inline void copy_commit() { simulator::services().commit_copies(); }

template <int pending>
inline void copy_wait() {
    simulator::services().wait_copies(pending);
}

using simulator::to_bf16_pair;
using simulator::to_tf32;

inline void mma_tf32(float (&d)[4], const unsigned int (&a)[4], const unsigned int (&b)[2],
                     GPUCNN_SITE) {
    simulator::mma<simulator::Tf32>(d, a, b, "mma_tf32", file, line);
}

inline void mma_bf16(float (&d)[4], const unsigned int (&a)[4], const unsigned int (&b)[2],
                     GPUCNN_SITE) {
    simulator::mma<simulator::Bf16>(d, a, b, "mma_bf16", file, line);
}

#endif
