// The instructions of PTX in C++: what a kernel that was translated from PTX needs, on top of
// device.h. An instruction that one operator of C++ does is written out by opcodes.py instead.
//
// Semantics: PTX ISA 8.8, "Instruction Set", section by section. What PTX leaves open is chosen so:
// approximations are rounded right, and a NaN has whatever bits the processor gives it.
#pragma once

#include "sm80.h"

namespace ptx {

typedef bool pred;
typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef float f32;
typedef double f64;

// ---- values of one type as another -------------------------------------------------------------

template <class T>
struct Traits {
    static constexpr bool is_float = false;
};
template <>
struct Traits<f32> {
    static constexpr bool is_float = true;
};
template <>
struct Traits<f64> {
    static constexpr bool is_float = true;
};

// The same bits; of integers the low ones, or more: zeros, or copies of a signed type's sign.
template <class To, class From>
inline To get(From value) {
    if constexpr (Traits<To>::is_float == Traits<From>::is_float) {
        static_assert(!Traits<To>::is_float || sizeof(To) == sizeof(From), "cvt converts");
        return static_cast<To>(value);
    } else {
        static_assert(sizeof(To) == sizeof(From), "bits of another size");
        To same;
        __builtin_memcpy(&same, &value, sizeof same);
        return same;
    }
}

template <class Register, class T>
inline void set(Register &to, T value) {
    to = get<Register>(value);
}

// What a register holds before it is written: NaN as a float, -1 as an integer.
struct Unwritten {
    operator u16() const { return 0xffff; }
    operator u32() const { return ~0u; }
    operator u64() const { return ~0ull; }
    operator f32() const { return __builtin_nanf(""); }
    operator f64() const { return __builtin_nan(""); }
    operator pred() const { return true; }
};

// ---- memory: an address is one of the host ------------------------------------------------------

template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
    T at[N];
};

template <class T>
inline T load(u64 address) {
    return *reinterpret_cast<const T *>(address);
}

template <class T>
inline void store(u64 address, T value) {
    *reinterpret_cast<T *>(address) = value;
}

// A parameter that is a struct.
template <int bytes, int alignment>
struct alignas(alignment) Struct {
    u8 at[bytes];
};

template <class T>
inline u64 address_of(const T &variable) {
    return reinterpret_cast<u64>(&variable);
}
inline u64 address_of(u8 *dynamic) { return reinterpret_cast<u64>(dynamic); }

// The address of shared memory from its low half, which is what inline assembly is given.
inline u64 shared_address(u32 low) {
    const u64 begin = reinterpret_cast<u64>(gpucnn_object.shared_begin);
    const u64 end = reinterpret_cast<u64>(gpucnn_object.shared_end);
    const u32 offset = low - static_cast<u32>(begin);
    if (offset < end - begin) return begin + offset;
    const u64 dynamic = reinterpret_cast<u64>(gpucnn_object.state.dynamic_shared);
    return dynamic + (low - static_cast<u32>(dynamic));
}
inline u64 shared_address(u64 whole) { return whole; }

// ---- integers ----------------------------------------------------------------------------------

inline s32 widened(s16 a) { return a; }
inline u32 widened(u16 a) { return a; }
inline s64 widened(s32 a) { return a; }
inline u64 widened(u32 a) { return a; }
inline __int128 widened(s64 a) { return a; }
inline unsigned __int128 widened(u64 a) { return a; }

template <class T>
inline T mul_hi(T a, T b) {
    return static_cast<T>(widened(a) * widened(b) >> 8 * sizeof(T));
}

// The quotient of the least number and -1 is not in the type; it wraps around.
template <class T>
inline T div(T a, T b) {
    return T(-1) < 0 && b == T(-1) ? static_cast<T>(0 - static_cast<u64>(a)) : static_cast<T>(a / b);
}
template <class T>
inline T rem(T a, T b) {
    return T(-1) < 0 && b == T(-1) ? T(0) : static_cast<T>(a % b);
}

template <class T>
inline T min(T a, T b) {
    return b < a ? b : a;
}
template <class T>
inline T max(T a, T b) {
    return a < b ? b : a;
}

template <class T>
inline T abs(T a) {
    return a < 0 ? static_cast<T>(0 - static_cast<u64>(a)) : a;
}

// A shift by more than the type has bits shifts all of them out.
template <class T>
inline T shl(T a, u32 by) {
    return by < 8 * sizeof(T) ? static_cast<T>(static_cast<u64>(a) << by) : T(0);
}
template <class T>
inline T shr(T a, u32 by) {
    constexpr u32 most = 8 * sizeof(T) - 1;
    if (by > most) return T(-1) < 0 ? static_cast<T>(a >> most) : T(0);
    return static_cast<T>(a >> by);
}

// Bits `position` to `position + length - 1`; both operands count by their low byte.
inline u32 bfe(u32 a, u32 position, u32 length) {
    position &= 0xff, length &= 0xff;
    const u32 field = shr(a, position);
    return length < 32 ? field & (shl(1u, length) - 1) : field;
}
inline u32 bfi(u32 field, u32 into, u32 position, u32 length) {
    position &= 0xff, length &= 0xff;
    const u32 mask = shl(length < 32 ? shl(1u, length) - 1 : ~0u, position);
    return (into & ~mask) | (shl(field, position) & mask);
}

// Bytes of the pair (b, a); each of the four selectors has 3 bits for the byte and one that asks for
// copies of its sign.
inline u32 prmt(u32 a, u32 b, u32 selectors) {
    const u64 bytes = static_cast<u64>(b) << 32 | a;
    u32 out = 0;
    for (u32 i = 0; i < 4; ++i) {
        const u32 selector = selectors >> 4 * i & 15;
        u32 byte = static_cast<u32>(bytes >> 8 * (selector & 7)) & 0xff;
        if (selector & 8) byte = byte & 0x80 ? 0xff : 0;
        out |= byte << 8 * i;
    }
    return out;
}

// ---- floats ------------------------------------------------------------------------------------

// A denormal becomes zero and keeps its sign.
inline f32 ftz(f32 a) {
    return __builtin_fabsf(a) < __FLT_MIN__ ? __builtin_copysignf(0.0f, a) : a;
}
inline f32 sat(f32 a) { return a > 0 ? a < 1 ? a : 1.0f : 0.0f; }  // of NaN and -0: 0

inline f32 abs(f32 a) { return __builtin_fabsf(a); }
inline f64 abs(f64 a) { return __builtin_fabs(a); }
inline f32 sqrt(f32 a) { return __builtin_sqrtf(a); }
inline f64 sqrt(f64 a) { return __builtin_sqrt(a); }
inline f32 fma(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
inline f64 fma(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }

template <class T>
inline bool is_nan(T a) {
    return a != a;
}

// Of a number and a NaN the number; -0 is below +0.
template <class T>
inline T least(T a, T b) {
    if (a == b) return __builtin_signbit(a) ? a : b;
    return a < b || is_nan(b) ? a : b;
}
template <class T>
inline T greatest(T a, T b) {
    if (a == b) return __builtin_signbit(a) ? b : a;
    return a > b || is_nan(b) ? a : b;
}

// Rounded down: a * b is exact in double, and so are the sum of it with c and that sum's error.
inline f32 fma_rm(f32 a, f32 b, f32 c) {
    const f64 product = static_cast<f64>(a) * b, sum = product + c;
    const f64 part = sum - product, error = (product - (sum - part)) + (c - part);
    const f32 nearest = static_cast<f32>(sum);
    if (sum == 0 && error == 0)
        return __builtin_signbit(product) || __builtin_signbit(c) ? -0.0f : 0.0f;
    const bool above = nearest > sum || (nearest == sum && error < 0);
    return above ? __builtin_nextafterf(nearest, -__builtin_inff()) : nearest;
}

inline f32 ex2_approx(f32 a) { return static_cast<f32>(__builtin_exp2(a)); }
inline f32 lg2_approx(f32 a) { return static_cast<f32>(__builtin_log2(a)); }

// Of the upper half of a double, and of its reciprocal the upper half; no denormals.
inline f64 upper_half(f64 a) { return get<f64>(get<u64>(a) & 0xffffffff00000000ull); }
inline f64 no_denormal(f64 a) {
    return __builtin_fabs(a) < __DBL_MIN__ ? __builtin_copysign(0.0, a) : a;
}
inline f64 rcp_approx_ftz(f64 a) {
    return upper_half(no_denormal(1 / no_denormal(upper_half(a))));
}

// ---- conversions -------------------------------------------------------------------------------

inline f32 rni(f32 a) { return __builtin_rintf(a); }
inline f64 rni(f64 a) { return __builtin_rint(a); }
inline f32 rzi(f32 a) { return __builtin_truncf(a); }
inline f64 rzi(f64 a) { return __builtin_trunc(a); }
inline f32 rmi(f32 a) { return __builtin_floorf(a); }
inline f64 rmi(f64 a) { return __builtin_floor(a); }
inline f32 rpi(f32 a) { return __builtin_ceilf(a); }
inline f64 rpi(f64 a) { return __builtin_ceil(a); }

// Of a whole number as a float: the nearest of the type. Of NaN 0, or with 64 bits the top bit.
template <class T, class From>
inline T to_integer(From a) {
    constexpr int bits = 8 * sizeof(T) - (T(-1) < 0);
    const From limit = static_cast<From>(1ull << (bits - 1)) * 2;
    if (is_nan(a))
        return sizeof(T) == 8 || sizeof(From) == 8 ? static_cast<T>(1ull << (8 * sizeof(T) - 1)) : 0;
    if (a >= limit) return static_cast<T>(~0ull >> (64 - bits));
    const From least = T(-1) < 0 ? -limit : From(0);
    return a < least ? static_cast<T>(least) : static_cast<T>(a);
}

// ---- sm_80 -------------------------------------------------------------------------------------

inline void copy_async(u64 to, u64 from, int bytes, int valid, GPUCNN_SITE) {
    simulator::copy_async(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes,
                          valid, file, line);
}

template <class Numbers>
inline void mma(f32 (&sums)[4], const u32 (&a)[4], const u32 (&b)[2], GPUCNN_SITE) {
    simulator::mma<Numbers>(sums, a, b, "mma.sync", file, line);
}

// ---- warps -------------------------------------------------------------------------------------

// The lane that a shuffle reads: `bound` has the last lane in bits 0 to 4 and in bits 8 to 12 the
// part of a lane's number that is its segment's.
struct Segment {
    u32 lane, first, last;

    explicit Segment(u32 bound) : lane(gpucnn_object.state.lane_number) {
        const u32 segment = bound >> 8 & 31;
        first = lane & segment;
        last = first | (bound & 31 & ~segment);
    }
};

inline u32 shfl(u32 value, u32 source, bool inside, u32 mask, pred &valid, const char *name,
                const char *file, int line) {
    valid = inside;
    const u32 from = inside ? source : gpucnn_object.state.lane_number;
    return simulator::shuffle(mask, value, from, name, file, line);
}

inline u32 shfl_bfly(u32 value, u32 bits, u32 bound, u32 mask, pred &valid, GPUCNN_SITE) {
    const Segment own(bound);
    const u32 source = own.lane ^ (bits & 31);
    return shfl(value, source, source <= own.last, mask, valid, "__shfl_xor_sync", file, line);
}
inline u32 shfl_down(u32 value, u32 delta, u32 bound, u32 mask, pred &valid, GPUCNN_SITE) {
    const Segment own(bound);
    const u32 source = own.lane + (delta & 31);
    return shfl(value, source, source <= own.last, mask, valid, "__shfl_down_sync", file, line);
}
inline u32 shfl_up(u32 value, u32 delta, u32 bound, u32 mask, pred &valid, GPUCNN_SITE) {
    const Segment own(bound);  // whose `last` is the first lane here
    const u32 source = own.lane - (delta & 31);
    return shfl(value, source, static_cast<s32>(source) >= static_cast<s32>(own.last), mask, valid,
                "__shfl_up_sync", file, line);
}
inline u32 shfl_idx(u32 value, u32 source, u32 bound, u32 mask, pred &valid, GPUCNN_SITE) {
    const Segment own(bound);
    source = own.first | (source & 31 & ~(bound >> 8 & 31));
    return shfl(value, source, source <= own.last, mask, valid, "__shfl_sync", file, line);
}

// The simulator has no clock: this one counts how often it was read.
inline u64 clock() {
    static u64 count = 0;
    return count++;
}

}  // namespace ptx
