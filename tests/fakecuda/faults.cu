// Kernels for test_checks.py and test_captures.py: most of them can be launched wrongly.
#ifndef SHARED_DYNAMIC
#define SHARED_DYNAMIC(type, name) extern __shared__ type name[]
#endif

// x[i] = value
extern "C" __global__ void set(float *x, float value) {
    x[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

extern "C" __global__ void __launch_bounds__(128) bounded(float *x) { x[threadIdx.x] = 1; }

// Each thread needs 100 numbers to the end: more than the 64 registers that 1024 threads have.
extern "C" __global__ void many_registers(const float *x, float *y) {
    float kept[100];
#pragma unroll
    for (int i = 0; i < 100; ++i) kept[i] = x[i * blockDim.x + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 100; ++i) y[i * blockDim.x + threadIdx.x] = kept[99 - i] * kept[i];
}

// x[0] = the sum of 1 over the block, by way of dynamic shared memory
extern "C" __global__ void dynamic_shared(float *x) {
    SHARED_DYNAMIC(float, s);
    s[threadIdx.x] = 1;
    __syncthreads();
    float sum = 0;
    for (unsigned int i = 0; i < blockDim.x; ++i) sum += s[i];
    x[0] = sum;
}

// 1024 bytes of static shared memory beside the dynamic
extern "C" __global__ void both_shared(float *x) {
    __shared__ float s[256];
    SHARED_DYNAMIC(float, more);
    s[threadIdx.x % 256] = more[0] = 1;
    __syncthreads();
    x[0] = s[0] + more[0];
}

struct Pair {
    int first;
    double second;
};

// x[0] = the sum of the others
extern "C" __global__ void arguments(double *x, int a, double b, unsigned char c, Pair pair) {
    x[0] = a + b + c + pair.first + pair.second;
}

// Reads and writes x[i].
extern "C" __global__ void far_away(float *x, long long i) { x[i] = x[i] + 1; }

extern "C" __global__ void half_a_barrier(float *x) {
    if (threadIdx.x < 16) __syncthreads();
    x[threadIdx.x] = 1;
}
