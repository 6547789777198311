// What GPUs have from sm_80 on: asynchronous copies and tensor cores. The helpers of
// kernels/ptx.cuh and kernels that were translated from PTX call it.
//
// Copies arrive at the wait and leave NaN in their place until then, so that a missing wait is seen.
// The layouts of fragments are those in kernels/ptx.cuh.
#pragma once

#include "device.h"

namespace simulator {

// ---- asynchronous copies -----------------------------------------------------------------------

// Copies `bytes`, of which the first `valid` are read; the others are zero.
inline void copy_async(void *to, const void *from, int bytes, int valid, const char *file,
                       int line) {
    const size_t addresses = reinterpret_cast<size_t>(to) | reinterpret_cast<size_t>(from);
    if (addresses % static_cast<size_t>(bytes) != 0)
        fail("copies to or from a misaligned address", file, line);
    if (valid < 0 || valid > bytes || valid % 4 != 0)
        fail("copies a part that is no multiple of 4 bytes", file, line);
    services().copy(to, from, static_cast<unsigned int>(bytes), static_cast<unsigned int>(valid));
}

// ---- numbers of the tensor cores ---------------------------------------------------------------

inline unsigned int to_tf32(float value) {
    const unsigned int bits = __float_as_uint(value);
    return isnan(value) ? bits : (bits + 0x1000u) & ~0x1fffu;
}

inline unsigned int to_bf16(float value) {
    const unsigned int bits = __float_as_uint(value);
    return isnan(value) ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

inline unsigned int to_bf16_pair(float low, float high) {
    return to_bf16(high) << 16 | to_bf16(low);
}

// ---- products by a warp ------------------------------------------------------------------------

struct Fragments {
    unsigned int a[4], b[2];
    float d[4];
};

// A tf32 as the tensor core reads it, and one half of a pair of bf16.
struct Tf32 {
    static constexpr unsigned int depth = 8, pair = 1;
    static float at(unsigned int bits, unsigned int) { return __uint_as_float(bits & ~0x1fffu); }
};
struct Bf16 {
    static constexpr unsigned int depth = 16, pair = 2;
    static float at(unsigned int bits, unsigned int half) {
        return __uint_as_float(half ? bits & 0xffff0000u : bits << 16);
    }
};

template <class Type>
void resolve_mma(Lane *lanes, unsigned int) {
    constexpr unsigned int depth = Type::depth, pair = Type::pair;
    float a[16][depth], b[depth][8];
    for (unsigned int lane = 0; lane < WARP_SIZE; ++lane) {
        const Fragments &given = view<Fragments>(lanes[lane].given);
        const unsigned int g = lane / 4, t = lane % 4;
        for (unsigned int half = 0; half < pair; ++half) {
            const unsigned int k = pair * t + half;
            for (unsigned int i = 0; i < 4; ++i)
                a[g + 8 * (i % 2)][k + depth / 2 * (i / 2)] = Type::at(given.a[i], half);
            for (unsigned int i = 0; i < 2; ++i)
                b[k + depth / 2 * i][g] = Type::at(given.b[i], half);
        }
    }
    for (unsigned int lane = 0; lane < WARP_SIZE; ++lane) {
        const Fragments &given = view<Fragments>(lanes[lane].given);
        float *d = &view<float>(lanes[lane].taken);
        for (unsigned int i = 0; i < 4; ++i) {
            const unsigned int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
            d[i] = given.d[i];
            for (unsigned int k = 0; k < depth; ++k) d[i] += a[row][k] * b[k][column];
        }
    }
}

template <class Type>
void mma(float (&d)[4], const unsigned int (&a)[4], const unsigned int (&b)[2], const char *name,
         const char *file, int line) {
    Lane &lane = *gpucnn_object.state.lane;
    Fragments &given = view<Fragments>(lane.given);
    __builtin_memcpy(given.a, a, sizeof a);
    __builtin_memcpy(given.b, b, sizeof b);
    __builtin_memcpy(given.d, d, sizeof d);
    services().warp(0xffffffffu, resolve_mma<Type>, name, file, line);
    __builtin_memcpy(d, lane.taken, sizeof d);
}

}  // namespace simulator
