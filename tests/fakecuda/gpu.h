// The GPU that is played, the errors of CUDA, the counters, and the memory.
//
// The environment describes the GPU: FAKECUDA_CAPABILITY (9.0), FAKECUDA_MULTIPROCESSORS (132),
// FAKECUDA_DEVICES (1), FAKECUDA_MEMORY (GiB, 80).
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace {

// ---- the GPU -----------------------------------------------------------------------------------

std::string option(const char *name, const char *otherwise) {
    const char *value = std::getenv(name);
    return value != nullptr && *value ? value : otherwise;
}

const int architecture =  // 90 for compute capability 9.0
    static_cast<int>(std::stod(option("FAKECUDA_CAPABILITY", "9.0")) * 10 + 0.5);
const int multiprocessors = std::stoi(option("FAKECUDA_MULTIPROCESSORS", "132"));
const int devices = std::stoi(option("FAKECUDA_DEVICES", "1"));
const size_t total_memory = std::stoull(option("FAKECUDA_MEMORY", "80")) << 30;

// CUDA C++ Programming Guide, "Technical specifications per compute capability".
constexpr unsigned MOST_THREADS = 1024, MOST_DEPTH = 64, WARP = 32;
constexpr unsigned MOST_BLOCKS = 2147483647, MOST_BLOCKS_YZ = 65535;
constexpr unsigned REGISTERS = 65536;  // of a block
constexpr unsigned REGISTER_UNIT = 8;  // of a thread
constexpr unsigned SHARED = 48 << 10;  // bytes a block that a kernel has without asking

unsigned most_shared() {  // bytes a block that a kernel can ask for
    switch (architecture) {
        case 70: return 96 << 10;
        case 75: return 64 << 10;
        case 80: case 87: return 163 << 10;
        case 86: case 89: case 120: case 121: return 99 << 10;
        default: return 227 << 10;
    }
}

thread_local int current_device = 0;

// ---- errors ------------------------------------------------------------------------------------

struct Failure {
    cudaError_t code;  // the driver's has the same number
    const char *runtime, *driver, *text;
};

#define FAILURE(runtime, driver, text) {cuda##runtime, "cuda" #runtime, "CUDA_" #driver, text}

const Failure failures[] = {
    FAILURE(Success, SUCCESS, "no error"),
    FAILURE(ErrorInvalidValue, ERROR_INVALID_VALUE, "invalid argument"),
    FAILURE(ErrorMemoryAllocation, ERROR_OUT_OF_MEMORY, "out of memory"),
    FAILURE(ErrorInvalidDevice, ERROR_INVALID_DEVICE, "invalid device ordinal"),
    FAILURE(ErrorInvalidKernelImage, ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    FAILURE(ErrorNoKernelImageForDevice, ERROR_NO_BINARY_FOR_GPU,
            "no kernel image is available for execution on the device"),
    FAILURE(ErrorInvalidResourceHandle, ERROR_INVALID_HANDLE, "invalid resource handle"),
    FAILURE(ErrorIllegalState, ERROR_ILLEGAL_STATE,
            "the operation cannot be performed in the present state"),
    FAILURE(ErrorSymbolNotFound, ERROR_NOT_FOUND, "named symbol not found"),
    FAILURE(ErrorLaunchOutOfResources, ERROR_LAUNCH_OUT_OF_RESOURCES,
            "too many resources requested for launch"),
    FAILURE(ErrorLaunchFailure, ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    FAILURE(ErrorNotSupported, ERROR_NOT_SUPPORTED, "operation not supported"),
    FAILURE(ErrorStreamCaptureUnsupported, ERROR_STREAM_CAPTURE_UNSUPPORTED,
            "operation not permitted when stream is capturing"),
    FAILURE(ErrorStreamCaptureInvalidated, ERROR_STREAM_CAPTURE_INVALIDATED,
            "operation failed due to a previous error during capture"),
    FAILURE(ErrorStreamCaptureImplicit, ERROR_STREAM_CAPTURE_IMPLICIT,
            "operation would make the legacy stream depend on a capturing blocking stream"),
    FAILURE(ErrorCapturedEvent, ERROR_CAPTURED_EVENT,
            "operation not permitted on an event last recorded in a capturing stream"),
};

const Failure &failure(int code) {
    static const Failure unknown = {cudaErrorUnknown, "cudaErrorUnknown", "CUDA_ERROR_UNKNOWN",
                                    "unknown error"};
    for (const Failure &known : failures)
        if (known.code == code) return known;
    return unknown;
}

// Why the last call of this thread failed that did: a part of its error's text.
thread_local cudaError_t failed_code = cudaSuccess;
thread_local std::string failed_because, error_text_;

cudaError_t fail(cudaError_t code, const char *format, ...) {
    char because[2048];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(because, sizeof because, format, arguments);
    va_end(arguments);
    failed_code = code;
    failed_because = because;
    return code;
}

const char *error_text(int code) {
    error_text_ = failure(code).text;
    if (code != cudaSuccess && code == failed_code) error_text_ += ": " + failed_because;
    return error_text_.c_str();
}

// ---- counters ----------------------------------------------------------------------------------

std::mutex one_at_a_time;  // of what follows; not held while a kernel runs
typedef std::lock_guard<std::mutex> Lock;

std::map<std::string, long> counters;

void count(const std::string &call) {
    const Lock lock(one_at_a_time);
    ++counters[call];
}

// ---- memory ------------------------------------------------------------------------------------

constexpr size_t PAGE = 4096;
constexpr size_t MOST_FILLED = size_t(1) << 28;  // bytes; to fill more would take the host's memory

struct Allocation {
    size_t size, mapped;
    int device;
};

std::map<const char *, Allocation> allocations;
size_t used_memory = 0;

// The device on which this address lies, or -1: the host.
int device_of(const void *address) {
    const Lock lock(one_at_a_time);
    auto found = allocations.upper_bound(static_cast<const char *>(address));
    if (found == allocations.begin()) return -1;
    --found;
    return address < found->first + found->second.size ? found->second.device : -1;
}

cudaError_t allocate(void **address, size_t size) {
    const Lock lock(one_at_a_time);
    if (size > total_memory - used_memory)
        return fail(cudaErrorMemoryAllocation, "%zu bytes, where %zu of %zu are used", size,
                    used_memory, total_memory);
    const size_t mapped = (size + PAGE - 1) / PAGE * PAGE + PAGE;  // nobody may touch the last page
    void *memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return fail(cudaErrorMemoryAllocation, "the host has none");
    mprotect(static_cast<char *>(memory) + mapped - PAGE, PAGE, PROT_NONE);
    if (size <= MOST_FILLED) std::memset(memory, 0xff, size);  // NaN as a float
    allocations[static_cast<char *>(memory)] = {size, mapped, current_device};
    used_memory += size;
    *address = memory;
    return cudaSuccess;
}

cudaError_t release(void *address) {
    if (address == nullptr) return cudaSuccess;
    const Lock lock(one_at_a_time);
    const auto found = allocations.find(static_cast<char *>(address));
    if (found == allocations.end())
        return fail(cudaErrorInvalidValue, "%p is not the beginning of an allocation", address);
    munmap(address, found->second.mapped);  // a later access is a fault
    used_memory -= found->second.size;
    allocations.erase(found);
    return cudaSuccess;
}

}  // namespace
