// Neighboring elements that a thread moves by one instruction: 16 bytes for four floats. A kernel
// bound by memory then has enough bytes on their way, and spends few instructions on each.
#pragma once

template <typename T, int N>
struct alignas(N * sizeof(T)) pack {
    T lane[N];
};

// Whether memory allows it: views such as x[1:] begin anywhere.
template <int N, typename T>
__device__ inline bool aligned(const T *p) {
    return reinterpret_cast<unsigned long long>(p) % alignof(pack<T, N>) == 0;
}

// p[0..N-1] by one instruction; p must be aligned.
template <int N, typename T>
__device__ inline pack<T, N> load(const T *p) {
    return *reinterpret_cast<const pack<T, N> *>(p);
}

template <int N, typename T>
__device__ inline void store(T *p, const pack<T, N> &value) {
    *reinterpret_cast<pack<T, N> *>(p) = value;
}

// p[0..count-1], the other lanes 0. `whole`: there are N, and p is aligned.
template <int N, typename T>
__device__ inline pack<T, N> load_some(const T *p, index_t count, bool whole) {
    if (whole) return load<N>(p);
    pack<T, N> value;
#pragma unroll
    for (int i = 0; i < N; ++i) value.lane[i] = i < count ? p[i] : T(0);
    return value;
}

template <int N, typename T>
__device__ inline void store_some(T *p, const pack<T, N> &value, index_t count, bool whole) {
    if (whole) return store(p, value);
#pragma unroll
    for (int i = 0; i < N; ++i)
        if (i < count) p[i] = value.lane[i];
}
