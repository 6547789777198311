// What a kernel may use of CUDA, each by a kernel that writes what it sees.
#include "common.cuh"

__device__ inline int flat(unsigned int x, unsigned int y, unsigned int z, unsigned int width,
                           unsigned int height) {
    return static_cast<int>((z * height + y) * width + x);
}

// out[block][thread] = (threadIdx, blockIdx) as six digits
extern "C" __global__ void indices(int *out) {
    const int thread = flat(threadIdx.x, threadIdx.y, threadIdx.z, blockDim.x, blockDim.y);
    const int block = flat(blockIdx.x, blockIdx.y, blockIdx.z, gridDim.x, gridDim.y);
    const int threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
    out[block * threads + thread] =
        static_cast<int>(threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z + 1000 * blockIdx.x +
                         10000 * blockIdx.y + 100000 * blockIdx.z);
}

// The order in which blocks come, and in the first one the threads: before a barrier, behind it and
// behind a warp operation, where only the first warp counts.
extern "C" __global__ void turns(int *blocks, int *threads, int *count) {
    const int t = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
    const bool first = blockIdx.x == 0;
    if (t == 0) blocks[count[0]] = static_cast<int>(blockIdx.x);
    if (first) threads[atomicAdd(&count[1], 1)] = t;
    __syncthreads();
    if (first) threads[n + atomicAdd(&count[2], 1)] = t;
    __syncwarp();
    if (first && t < WARP) threads[2 * n + atomicAdd(&count[3], 1)] = t;
    if (t == 0) count[0] += 1;
}

extern "C" __global__ void shuffles(const float *x, float *out, int width) {
    const unsigned int t = threadIdx.x, n = blockDim.x;
    out[t] = __shfl_sync(ALL_LANES, x[t], 3, width);
    out[n + t] = __shfl_xor_sync(ALL_LANES, x[t], 5, width);
    out[2 * n + t] = __shfl_down_sync(ALL_LANES, x[t], 3, width);
    out[3 * n + t] = __shfl_up_sync(ALL_LANES, x[t], 3, width);
    out[4 * n + t] = static_cast<float>(__shfl_sync(ALL_LANES, static_cast<double>(x[t]), 7));
}

// Two halves of a warp, each with its mask; the second reads a lane of the first: undefined.
extern "C" __global__ void half_warps(const float *x, float *out) {
    const unsigned int t = threadIdx.x, n = blockDim.x;
    const unsigned int mask = t < 16 ? 0xffffu : 0xffff0000u;
    float v = x[t];
    if (t < 16) {
        for (int i = 8; i > 0; i /= 2) v += __shfl_xor_sync(mask, v, i);
    } else {
        for (int i = 8; i > 0; i /= 2) v = max(v, __shfl_xor_sync(mask, v, i));
    }
    out[t] = v;
    out[n + t] = __shfl_sync(mask, x[t], 3);
}

extern "C" __global__ void votes(const int *x, int *out) {
    const unsigned int t = threadIdx.x, n = blockDim.x;
    out[t] = static_cast<int>(__ballot_sync(ALL_LANES, x[t] > 0));
    out[n + t] = __any_sync(ALL_LANES, x[t] > 2);
    out[2 * n + t] = __all_sync(ALL_LANES, x[t] > 0);
    out[3 * n + t] = __syncthreads_count(x[t] > 0);
    out[4 * n + t] = __syncthreads_or(x[t] > 2);
    out[5 * n + t] = __syncthreads_and(x[t] > 0);
}

extern "C" __global__ void mathematics(const real *x, real *out, int n) {
    for (index_t i = thread_index(); i < n; i += thread_count()) {
        const real v = x[i];
        const real all[] = {exp(v),        expm1(v),     log(v),           log1p(v),
                            sqrt(v),       rsqrt(v),     sin(v),           tanh(v),
                            floor(-v),     fabs(-v),     pow(v, real(3)),  fmod(v, real(0.7)),
                            min(v, real(1)), max(v, quiet_nan()), fma(v, v, v), relu(quiet_nan())};
        for (int k = 0; k < 16; ++k) out[i * 16 + k] = all[k];
    }
}

extern "C" __global__ void integers(const int *x, int *out, unsigned int *sums) {
    const int t = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x), v = x[t];
    out[t] = __popc(static_cast<unsigned int>(v));
    out[n + t] = __clz(v);
    out[2 * n + t] = __ffs(v);
    out[3 * n + t] = static_cast<int>(__umulhi(static_cast<unsigned int>(v), 0x80000001u));
    out[4 * n + t] = __float_as_int(static_cast<float>(v));
    out[5 * n + t] = min(v, 3) + max(v, 3) + abs(-v);
    atomicAdd(&sums[0], static_cast<unsigned int>(v));
    atomicMax(&sums[1], static_cast<unsigned int>(v));
    atomicMin(&sums[2], static_cast<unsigned int>(v));
    atomicOr(&sums[3], static_cast<unsigned int>(v));
    atomicCAS(&sums[4], 0u, static_cast<unsigned int>(v));
}

extern "C" __global__ void vectors(const float *x, float *out, unsigned char *bytes) {
    const unsigned int t = threadIdx.x;
    const float4 v = reinterpret_cast<const float4 *>(x)[t];
    reinterpret_cast<float4 *>(out)[t] = make_float4(v.w, v.z, v.y, v.x);
    reinterpret_cast<uchar4 *>(bytes)[t] = make_uchar4(1, 2, 3, static_cast<unsigned char>(t));
}

// Arguments of every type that a launch knows.
extern "C" __global__ void arguments(double *out, const float *null, int i, unsigned int u,
                                     long long l, unsigned long long q, float f, double d,
                                     index_t n, real r) {
    out[0] = null == nullptr;
    out[1] = i;
    out[2] = u;
    out[3] = static_cast<double>(l);
    out[4] = static_cast<double>(q);
    out[5] = f;
    out[6] = d;
    out[7] = static_cast<double>(n);
    out[8] = r;
    out[9] = sizeof(index_t);
}

struct Byte {
    unsigned char value;
};

struct Mixed {
    unsigned char kind;
    double scale;
    int rows, columns, planes;
    index_t offset;
};

// Structs of 1 byte, of 40 bytes and again of 1, with a number behind them.
extern "C" __global__ void structs(double *out, Byte first, const Mixed m, Byte last, int number) {
    first.value += 1;  // each thread has its own copy
    out += threadIdx.x * 9;
    out[0] = first.value;
    out[1] = m.kind;
    out[2] = m.scale;
    out[3] = m.rows;
    out[4] = m.columns;
    out[5] = m.planes;
    out[6] = static_cast<double>(m.offset);
    out[7] = last.value;
    out[8] = number;
}
