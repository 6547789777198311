// CUDA's language for a C++ compiler: what the text of a kernel needs, on top of runtime.h.
//
// Put in front of a kernel's source by build.py. It includes nothing of the system.
#pragma once

#define GPUCNN_SIMULATOR 1

#include "runtime.h"

// ---- qualifiers --------------------------------------------------------------------------------

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

// All in one section, which is filled with NaN for every block. `used`: the compiler must not take a
// variable that the kernel never writes for zero.
#define __shared__ static __attribute__((section("gpucnn_shared"), used))
#define SHARED_DYNAMIC(type, name) \
    type *const name = static_cast<type *>(gpucnn_object.state.dynamic_shared)

// ---- the connection to the scheduler -----------------------------------------------------------

extern "C" {
extern char __start_gpucnn_shared[] __attribute__((visibility("hidden")));
extern char __stop_gpucnn_shared[] __attribute__((visibility("hidden")));
__attribute__((visibility("default"))) extern simulator::Object gpucnn_object;
}

namespace simulator {

__shared__ char section_exists;  // without a variable there would be no section to begin and stop

inline const Services &services() { return *gpucnn_object.services; }

[[noreturn]] inline void fail(const char *what, const char *file, int line) {
    services().fail(what, file, line);
    __builtin_unreachable();
}

// The next argument of a kernel: a pointer, a number or a struct.
template <class T>
T next_argument(const unsigned long long *&slot) {
    T value;
    __builtin_memcpy(&value, slot, sizeof value);
    slot += (sizeof value + sizeof *slot - 1) / sizeof *slot;
    return value;
}

struct Call {
    template <class... P>
    Call(void (*kernel)(P...), P... arguments) {
        kernel(arguments...);
    }
};

template <class... P>
inline void call(void (*kernel)(P...), const unsigned long long *slot) {
    Call{kernel, next_argument<P>(slot)...};  // in braces: from left to right
}

}  // namespace simulator

// These stand behind the source: the first once, the others for every kernel in it.
#define GPUCNN_OBJECT                                                                           \
    simulator::Object gpucnn_object = {nullptr, {}, __start_gpucnn_shared, __stop_gpucnn_shared};
#define GPUCNN_ENTRY(kernel)                                                                    \
    extern "C" __attribute__((visibility("default"))) void gpucnn_entry_##kernel(               \
        const unsigned long long *slots) {                                                      \
        simulator::call(&::kernel, slots);                                                      \
    }

// Its __launch_bounds__.
#define GPUCNN_MOST_THREADS(most)                                                               \
    extern "C" __attribute__((visibility("default"))) const unsigned int gpucnn_most_threads =  \
        most;

// ---- indices and vector types ------------------------------------------------------------------

typedef __SIZE_TYPE__ size_t;
typedef simulator::Index uint3;

struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int x = 1, unsigned int y = 1, unsigned int z = 1) : x(x), y(y), z(z) {}
};

#define threadIdx (gpucnn_object.state.thread)
#define blockIdx (gpucnn_object.state.block)
#define blockDim (gpucnn_object.state.block_size)
#define gridDim (gpucnn_object.state.grid_size)
#define warpSize 32

#define GPUCNN_VECTORS(T, name, align2, align4)                             \
    struct alignas(align2) name##2 {                                        \
        T x, y;                                                             \
    };                                                                      \
    struct alignas(align4) name##4 {                                        \
        T x, y, z, w;                                                       \
    };                                                                      \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }              \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

GPUCNN_VECTORS(signed char, char, 2, 4)
GPUCNN_VECTORS(unsigned char, uchar, 2, 4)
GPUCNN_VECTORS(short, short, 4, 8)
GPUCNN_VECTORS(unsigned short, ushort, 4, 8)
GPUCNN_VECTORS(int, int, 8, 16)
GPUCNN_VECTORS(unsigned int, uint, 8, 16)
GPUCNN_VECTORS(long long, longlong, 16, 16)
GPUCNN_VECTORS(unsigned long long, ulonglong, 16, 16)
GPUCNN_VECTORS(float, float, 8, 16)
GPUCNN_VECTORS(double, double, 16, 16)

struct int3 {
    int x, y, z;
};
struct float3 {
    float x, y, z;
};
inline int3 make_int3(int x, int y, int z) { return {x, y, z}; }
inline uint3 make_uint3(unsigned int x, unsigned int y, unsigned int z) { return {x, y, z}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }

// ---- barriers ----------------------------------------------------------------------------------

// The place of a call, as default arguments see it.
#define GPUCNN_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(GPUCNN_SITE) { simulator::services().barrier(false, file, line); }

inline int __syncthreads_count(int predicate, GPUCNN_SITE) {
    return static_cast<int>(simulator::services().barrier(predicate != 0, file, line));
}

inline int __syncthreads_or(int predicate, GPUCNN_SITE) {
    return simulator::services().barrier(predicate != 0, file, line) != 0;
}

inline int __syncthreads_and(int predicate, GPUCNN_SITE) {
    return simulator::services().barrier(predicate == 0, file, line) == 0;
}

inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- warp operations ---------------------------------------------------------------------------

namespace simulator {

struct Shuffle {
    unsigned long long value;
    unsigned int source;
};

template <class T>
T &view(unsigned char *bytes) {
    return *reinterpret_cast<T *>(bytes);
}

inline void resolve_nothing(Lane *, unsigned int) {}

inline void resolve_shuffle(Lane *lanes, unsigned int mask) {
    for (unsigned int i = 0; i < WARP_SIZE; ++i) {
        if (!(mask >> i & 1)) continue;
        const unsigned int source = view<Shuffle>(lanes[i].given).source;
        // The value of a lane that takes no part is undefined, so it is poison here.
        view<unsigned long long>(lanes[i].taken) =
            mask >> source & 1 ? view<Shuffle>(lanes[source].given).value : ~0ull;
    }
}

inline void resolve_ballot(Lane *lanes, unsigned int mask) {
    unsigned int votes = 0;
    for (unsigned int i = 0; i < WARP_SIZE; ++i)
        if (mask >> i & 1 && view<unsigned int>(lanes[i].given)) votes |= 1u << i;
    for (unsigned int i = 0; i < WARP_SIZE; ++i) view<unsigned int>(lanes[i].taken) = votes;
}

template <class T>
T shuffle(unsigned int mask, T value, unsigned int source, const char *name, const char *file,
          int line) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
    Shuffle given = {0, source};
    __builtin_memcpy(&given.value, &value, sizeof value);
    Lane &lane = *gpucnn_object.state.lane;
    view<Shuffle>(lane.given) = given;
    services().warp(mask, resolve_shuffle, name, file, line);
    __builtin_memcpy(&value, lane.taken, sizeof value);
    return value;
}

inline unsigned int ballot(unsigned int mask, bool predicate, const char *name, const char *file,
                           int line) {
    Lane &lane = *gpucnn_object.state.lane;
    view<unsigned int>(lane.given) = predicate;
    services().warp(mask, resolve_ballot, name, file, line);
    return view<unsigned int>(lane.taken);
}

// The lanes are cut into segments of `width`; one that would read beyond its own reads itself.
inline unsigned int within_segment(unsigned int lane, unsigned int source, int width) {
    const unsigned int size = static_cast<unsigned int>(width);
    return lane / size == source / size ? source : lane;
}

}  // namespace simulator

inline void __syncwarp(unsigned int mask = 0xffffffffu, GPUCNN_SITE) {
    simulator::services().warp(mask, simulator::resolve_nothing, "__syncwarp", file, line);
}

template <class T>
T __shfl_sync(unsigned int mask, T value, int source, int width = warpSize, GPUCNN_SITE) {
    const unsigned int lane = gpucnn_object.state.lane_number;
    const unsigned int size = static_cast<unsigned int>(width);
    const unsigned int from = lane / size * size + static_cast<unsigned int>(source) % size;
    return simulator::shuffle(mask, value, from, "__shfl_sync", file, line);
}

template <class T>
T __shfl_xor_sync(unsigned int mask, T value, int bits, int width = warpSize, GPUCNN_SITE) {
    const unsigned int lane = gpucnn_object.state.lane_number;
    // Unlike the other two it may read an earlier segment.
    const unsigned int from = lane ^ static_cast<unsigned int>(bits);
    const unsigned int end = (lane / static_cast<unsigned int>(width) + 1) * width;
    return simulator::shuffle(mask, value, from < end ? from : lane, "__shfl_xor_sync", file, line);
}

template <class T>
T __shfl_down_sync(unsigned int mask, T value, unsigned int delta, int width = warpSize,
                   GPUCNN_SITE) {
    const unsigned int lane = gpucnn_object.state.lane_number;
    const unsigned int from = simulator::within_segment(lane, lane + delta, width);
    return simulator::shuffle(mask, value, from, "__shfl_down_sync", file, line);
}

template <class T>
T __shfl_up_sync(unsigned int mask, T value, unsigned int delta, int width = warpSize,
                 GPUCNN_SITE) {
    const unsigned int lane = gpucnn_object.state.lane_number;
    const unsigned int from = simulator::within_segment(lane, lane - delta, width);
    return simulator::shuffle(mask, value, from, "__shfl_up_sync", file, line);
}

inline unsigned int __ballot_sync(unsigned int mask, int predicate, GPUCNN_SITE) {
    return simulator::ballot(mask, predicate != 0, "__ballot_sync", file, line);
}

inline int __any_sync(unsigned int mask, int predicate, GPUCNN_SITE) {
    return simulator::ballot(mask, predicate != 0, "__any_sync", file, line) != 0;
}

inline int __all_sync(unsigned int mask, int predicate, GPUCNN_SITE) {
    return simulator::ballot(mask, predicate == 0, "__all_sync", file, line) == 0;
}

// ---- atomics: of integers only, as a sum of floats would depend on the order -------------------

#define GPUCNN_ATOMIC(name, expression)                            \
    template <class T>                                             \
    T name(T *address, decltype(T(0) + 0) operand) {               \
        static_assert(T(1) / T(2) == T(0), "integers only");       \
        const T old = *address, value = static_cast<T>(operand);   \
        *address = static_cast<T>(expression);                     \
        return old;                                                \
    }

GPUCNN_ATOMIC(atomicAdd, old + value)
GPUCNN_ATOMIC(atomicSub, old - value)
GPUCNN_ATOMIC(atomicExch, value)
GPUCNN_ATOMIC(atomicMin, value < old ? value : old)
GPUCNN_ATOMIC(atomicMax, value > old ? value : old)
GPUCNN_ATOMIC(atomicAnd, old & value)
GPUCNN_ATOMIC(atomicOr, old | value)
GPUCNN_ATOMIC(atomicXor, old ^ value)

template <class T>
T atomicCAS(T *address, T expected, T value) {
    const T old = *address;
    if (old == expected) *address = value;
    return old;
}

// ---- bits --------------------------------------------------------------------------------------

template <class T>
T __ldg(const T *address) {
    return *address;
}

#define GPUCNN_REINTERPRET(name, From, To)                 \
    inline To name(From from) {                            \
        To to;                                             \
        __builtin_memcpy(&to, &from, sizeof to);           \
        return to;                                         \
    }

GPUCNN_REINTERPRET(__int_as_float, int, float)
GPUCNN_REINTERPRET(__float_as_int, float, int)
GPUCNN_REINTERPRET(__uint_as_float, unsigned int, float)
GPUCNN_REINTERPRET(__float_as_uint, float, unsigned int)
GPUCNN_REINTERPRET(__longlong_as_double, long long, double)
GPUCNN_REINTERPRET(__double_as_longlong, double, long long)

inline int __popc(unsigned int bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(static_cast<unsigned int>(bits)) : 32; }
inline unsigned int __umulhi(unsigned int a, unsigned int b) {
    return static_cast<unsigned int>(static_cast<unsigned long long>(a) * b >> 32);
}
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }

// ---- arithmetic: C's functions for double, and overloads of the same names for float -----------

#define GPUCNN_MATH1(name)                                               \
    extern "C" double name(double) noexcept;                             \
    extern "C" float name##f(float) noexcept;                            \
    inline float name(float a) { return __builtin_##name##f(a); }
#define GPUCNN_MATH2(name)                                                        \
    extern "C" double name(double, double) noexcept;                              \
    extern "C" float name##f(float, float) noexcept;                              \
    inline float name(float a, float b) { return __builtin_##name##f(a, b); }

GPUCNN_MATH1(exp)
GPUCNN_MATH1(exp2)
GPUCNN_MATH1(expm1)
GPUCNN_MATH1(log)
GPUCNN_MATH1(log2)
GPUCNN_MATH1(log10)
GPUCNN_MATH1(log1p)
GPUCNN_MATH1(sqrt)
GPUCNN_MATH1(cbrt)
GPUCNN_MATH1(sin)
GPUCNN_MATH1(cos)
GPUCNN_MATH1(tan)
GPUCNN_MATH1(tanh)
GPUCNN_MATH1(erf)
GPUCNN_MATH1(fabs)
GPUCNN_MATH1(floor)
GPUCNN_MATH1(ceil)
GPUCNN_MATH1(trunc)
GPUCNN_MATH1(round)
GPUCNN_MATH1(rint)
GPUCNN_MATH2(pow)
GPUCNN_MATH2(fmod)
GPUCNN_MATH2(fmin)
GPUCNN_MATH2(fmax)
GPUCNN_MATH2(copysign)

// -DGPUCNN_ROUGH: functions that a GPU computes to an ulp or two are off by an ulp; exp(0) is 1.
#ifdef GPUCNN_ROUGH
namespace simulator {
inline float off_by_an_ulp(float a) { return a == 1 ? a : a * (1 + __FLT_EPSILON__); }
inline double off_by_an_ulp(double a) { return a == 1 ? a : a * (1 + __DBL_EPSILON__); }
}  // namespace simulator
#define exp(a) simulator::off_by_an_ulp(exp(a))
#define expm1(a) simulator::off_by_an_ulp(expm1(a))
#define log(a) simulator::off_by_an_ulp(log(a))
#endif

extern "C" double fma(double, double, double) noexcept;
extern "C" float fmaf(float, float, float) noexcept;
extern "C" int abs(int) noexcept;
inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline long long abs(long long a) { return a < 0 ? -a : a; }
inline float abs(float a) { return __builtin_fabsf(a); }
inline double abs(double a) { return __builtin_fabs(a); }
inline float rsqrt(float a) { return 1.0f / __builtin_sqrtf(a); }
inline double rsqrt(double a) { return 1.0 / __builtin_sqrt(a); }
inline float rsqrtf(float a) { return rsqrt(a); }
inline float __fdividef(float a, float b) { return a / b; }

template <class T>
bool isnan(T a) {
    return __builtin_isnan(a);
}
template <class T>
bool isinf(T a) {
    return __builtin_isinf(a);
}
template <class T>
bool isfinite(T a) {
    return __builtin_isfinite(a);
}

// CUDA's min and max of floats are fmin and fmax: of a number and a NaN they return the number.
#define GPUCNN_MIN_MAX(T)                               \
    inline T min(T a, T b) { return b < a ? b : a; }    \
    inline T max(T a, T b) { return a < b ? b : a; }

GPUCNN_MIN_MAX(int)
GPUCNN_MIN_MAX(unsigned int)
GPUCNN_MIN_MAX(long)
GPUCNN_MIN_MAX(unsigned long)
GPUCNN_MIN_MAX(long long)
GPUCNN_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return __builtin_fminf(a, b); }
inline float max(float a, float b) { return __builtin_fmaxf(a, b); }
inline double min(double a, double b) { return __builtin_fmin(a, b); }
inline double max(double a, double b) { return __builtin_fmax(a, b); }
