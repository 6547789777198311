// The CUDA runtime, as far as CuPy calls it: fake_cudaX answers for cudaX, see take_over.h.
#pragma once

#include <chrono>

#include "streams.h"

#define RUNTIME(name, ...) extern "C" cudaError_t fake_##name(__VA_ARGS__)

// ---- versions, errors, devices -----------------------------------------------------------------

RUNTIME(cudaDriverGetVersion, int *version) { return *version = CUDA_VERSION, cudaSuccess; }
RUNTIME(cudaRuntimeGetVersion, int *version) { return *version = CUDART_VERSION, cudaSuccess; }

extern "C" const char *fake_cudaGetErrorName(cudaError_t error) { return failure(error).runtime; }
extern "C" const char *fake_cudaGetErrorString(cudaError_t error) { return error_text(error); }
RUNTIME(cudaGetLastError) { return cudaSuccess; }
RUNTIME(cudaPeekAtLastError) { return cudaSuccess; }

RUNTIME(cudaGetDeviceCount, int *number) { return *number = devices, cudaSuccess; }
RUNTIME(cudaGetDevice, int *device) {
    count("getDevice");
    *device = current_device;
    return cudaSuccess;
}
RUNTIME(cudaSetDevice, int device) {
    count("setDevice");
    if (device < 0 || device >= devices)
        return fail(cudaErrorInvalidDevice, "number %d of %d", device, devices);
    current_device = device;
    return cudaSuccess;
}
RUNTIME(cudaGetDeviceProperties, cudaDeviceProp *properties, int) {
    std::memset(properties, 0, sizeof *properties);
    std::snprintf(properties->name, sizeof properties->name, "no GPU: tests/fakecuda");
    properties->major = architecture / 10;
    properties->minor = architecture % 10;
    properties->totalGlobalMem = total_memory;
    properties->multiProcessorCount = multiprocessors;
    properties->warpSize = WARP;
    properties->regsPerBlock = REGISTERS;
    properties->sharedMemPerBlock = SHARED;
    properties->sharedMemPerBlockOptin = most_shared();
    properties->maxThreadsPerBlock = MOST_THREADS;
    properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = MOST_THREADS;
    properties->maxThreadsDim[2] = MOST_DEPTH;
    properties->maxGridSize[0] = MOST_BLOCKS;
    properties->maxGridSize[1] = properties->maxGridSize[2] = MOST_BLOCKS_YZ;
    return cudaSuccess;
}
RUNTIME(cudaDeviceGetAttribute, int *value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
        case cudaDevAttrComputeCapabilityMajor: *value = architecture / 10; break;
        case cudaDevAttrComputeCapabilityMinor: *value = architecture % 10; break;
        case cudaDevAttrMultiProcessorCount: *value = multiprocessors; break;
        case cudaDevAttrWarpSize: *value = WARP; break;
        case cudaDevAttrMaxThreadsPerBlock: *value = MOST_THREADS; break;
        case cudaDevAttrMaxRegistersPerBlock: *value = REGISTERS; break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *value = SHARED; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = most_shared(); break;
        default: *value = 0;
    }
    return cudaSuccess;
}
RUNTIME(cudaDeviceSynchronize) {
    count("device sync");
    return wait_for_device("device sync");
}

// ---- memory ------------------------------------------------------------------------------------

RUNTIME(cudaMalloc, void **address, size_t size) {
    count("malloc");
    if (const cudaError_t refused = refuse_unsafe("malloc")) return refused;
    return allocate(address, size);
}
RUNTIME(cudaFree, void *address) {
    count("free");
    if (const cudaError_t refused = refuse_unsafe("free")) return refused;
    return release(address);
}
RUNTIME(cudaHostAlloc, void **address, size_t size, unsigned) {
    count("host malloc");
    if (const cudaError_t refused = refuse_unsafe("host malloc")) return refused;
    *address = std::aligned_alloc(PAGE, (size / PAGE + 1) * PAGE);
    return cudaSuccess;
}
RUNTIME(cudaFreeHost, void *address) { return std::free(address), cudaSuccess; }
RUNTIME(cudaMemGetInfo, size_t *free, size_t *total) {
    const Lock lock(one_at_a_time);
    *free = total_memory - used_memory;
    *total = total_memory;
    return cudaSuccess;
}
RUNTIME(cudaPointerGetAttributes, cudaPointerAttributes *attributes, const void *address) {
    const int device = device_of(address);
    std::memset(attributes, 0, sizeof *attributes);
    attributes->type = device >= 0 ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
    attributes->device = device;
    attributes->devicePointer = const_cast<void *>(device >= 0 ? address : nullptr);
    return cudaSuccess;
}

RUNTIME(cudaMemcpy, void *to, const void *from, size_t size, cudaMemcpyKind) {
    return copy(nullptr, to, from, size, false);
}
RUNTIME(cudaMemcpyAsync, void *to, const void *from, size_t size, cudaMemcpyKind,
        cudaStream_t stream) {
    return copy(stream, to, from, size, true);
}
RUNTIME(cudaMemset, void *to, int byte, size_t size) { return fill(nullptr, to, byte, size); }
RUNTIME(cudaMemsetAsync, void *to, int byte, size_t size, cudaStream_t stream) {
    return fill(stream, to, byte, size);
}

// ---- streams -----------------------------------------------------------------------------------

RUNTIME(cudaStreamCreateWithFlags, cudaStream_t *stream, unsigned flags) {
    auto *made = new Stream;
    made->blocking = !(flags & cudaStreamNonBlocking);
    const Lock lock(one_at_a_time);
    streams.insert(made);
    *stream = reinterpret_cast<cudaStream_t>(made);
    return cudaSuccess;
}
RUNTIME(cudaStreamCreate, cudaStream_t *stream) {
    return fake_cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
RUNTIME(cudaStreamCreateWithPriority, cudaStream_t *stream, unsigned flags, int) {
    return fake_cudaStreamCreateWithFlags(stream, flags);
}
RUNTIME(cudaStreamDestroy, cudaStream_t handle) {
    Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    const Lock lock(one_at_a_time);
    if (streams.erase(stream)) delete stream;
    return cudaSuccess;
}
RUNTIME(cudaStreamSynchronize, cudaStream_t stream) {
    count("stream sync");
    return wait_for_stream(stream, "stream sync");
}
RUNTIME(cudaStreamQuery, cudaStream_t stream) { return wait_for_stream(stream, "stream query"); }

RUNTIME(cudaStreamIsCapturing, cudaStream_t handle, cudaStreamCaptureStatus *status) {
    const Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    *status = cudaStreamCaptureStatusNone;
    if (stream->capture)
        *status = stream->invalid ? cudaStreamCaptureStatusInvalidated
                                  : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}
RUNTIME(cudaStreamBeginCapture, cudaStream_t handle, cudaStreamCaptureMode mode) {
    Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    if (stream == &legacy_stream)
        return fail(cudaErrorStreamCaptureUnsupported, "the legacy stream cannot be captured");
    if (stream->capture) return fail(cudaErrorIllegalState, "it is being captured already");
    stream->capture = std::make_unique<Graph>();
    stream->mode = mode;
    stream->captured_by = std::this_thread::get_id();
    stream->invalid = false;
    return cudaSuccess;
}
RUNTIME(cudaStreamEndCapture, cudaStream_t handle, cudaGraph_t *graph) {
    *graph = nullptr;
    Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    if (!stream->capture) return fail(cudaErrorIllegalState, "it is not being captured");
    std::unique_ptr<Graph> captured = std::move(stream->capture);
    if (stream->invalid) return fail(cudaErrorStreamCaptureInvalidated, "the end of the capture");
    *graph = reinterpret_cast<cudaGraph_t>(captured.release());
    return cudaSuccess;
}

// ---- graphs ------------------------------------------------------------------------------------

RUNTIME(cudaGraphInstantiate, cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long) {
    *executable = reinterpret_cast<cudaGraphExec_t>(new Graph(*reinterpret_cast<Graph *>(graph)));
    return cudaSuccess;
}
RUNTIME(cudaGraphUpload, cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
RUNTIME(cudaGraphLaunch, cudaGraphExec_t executable, cudaStream_t handle) {
    count("graph launch");
    const Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    if (stream->capture) return fail(cudaErrorNotSupported, "streams.h has no graphs in graphs");
    for (const Node &node : reinterpret_cast<Graph *>(executable)->nodes)
        if (const cudaError_t failed = run(node)) return failed;
    return cudaSuccess;
}
RUNTIME(cudaGraphDestroy, cudaGraph_t graph) {
    delete reinterpret_cast<Graph *>(graph);
    return cudaSuccess;
}
RUNTIME(cudaGraphExecDestroy, cudaGraphExec_t executable) {
    delete reinterpret_cast<Graph *>(executable);
    return cudaSuccess;
}

// ---- events ------------------------------------------------------------------------------------

namespace {

struct Event {
    std::chrono::steady_clock::time_point time;
    bool captured;
};

cudaError_t look_at(cudaEvent_t event, const char *what) {
    if (!reinterpret_cast<Event *>(event)->captured) return cudaSuccess;
    wait_for_device(what);  // the capture is invalid now
    return fail(cudaErrorCapturedEvent, "%s", what);
}

}  // namespace

RUNTIME(cudaEventCreateWithFlags, cudaEvent_t *event, unsigned) {
    *event = reinterpret_cast<cudaEvent_t>(new Event());
    return cudaSuccess;
}
RUNTIME(cudaEventCreate, cudaEvent_t *event) { return fake_cudaEventCreateWithFlags(event, 0); }
RUNTIME(cudaEventDestroy, cudaEvent_t event) {
    delete reinterpret_cast<Event *>(event);
    return cudaSuccess;
}
RUNTIME(cudaEventRecord, cudaEvent_t event, cudaStream_t handle) {
    count("event record");
    const Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    if (stream == &legacy_stream)
        if (const cudaError_t refused = refuse_legacy_stream("event record")) return refused;
    *reinterpret_cast<Event *>(event) = {std::chrono::steady_clock::now(), bool(stream->capture)};
    return cudaSuccess;
}
RUNTIME(cudaEventSynchronize, cudaEvent_t event) {
    count("event sync");
    return look_at(event, "event sync");
}
RUNTIME(cudaEventQuery, cudaEvent_t event) { return look_at(event, "event query"); }
RUNTIME(cudaEventElapsedTime, float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
    const auto passed =
        reinterpret_cast<Event *>(end)->time - reinterpret_cast<Event *>(start)->time;
    *milliseconds = std::chrono::duration<float, std::milli>(passed).count();
    return cudaSuccess;
}
RUNTIME(cudaStreamWaitEvent, cudaStream_t, cudaEvent_t event, unsigned) {
    if (!reinterpret_cast<Event *>(event)->captured) return cudaSuccess;
    return fail(cudaErrorNotSupported, "streams.h captures one stream at a time");
}

RUNTIME(cudaProfilerStart) { return cudaSuccess; }
RUNTIME(cudaProfilerStop) { return cudaSuccess; }
