// Streams, captures and graphs. A stream does its work at once; while it is captured, it keeps it.
//
// CUDA C++ Programming Guide, "Prohibited and unhandled operations" of a capture; what is refused
// makes the capture invalid, as in CUDA.
#pragma once

#include <memory>
#include <thread>
#include <utility>

#include "kernels.h"

namespace {

struct Node {
    enum Kind { launch, copy, fill } kind;
    // of a launch
    Function *function = nullptr;
    unsigned shape[7] = {};               // grid, block, bytes of dynamic shared memory
    std::vector<std::string> parameters;  // the bytes of each
    // of a copy, and of filling memory with a byte
    void *to = nullptr;
    const void *from = nullptr;
    size_t size = 0;
    int byte = 0;

    explicit Node(Kind kind) : kind(kind) {}
};

struct Graph {
    std::vector<Node> nodes;
};

struct Stream {
    bool blocking = true;  // the legacy stream waits for it and it for that
    std::unique_ptr<Graph> capture;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id captured_by;
    bool invalid = false;  // something was refused
};

Stream legacy_stream;  // cannot be captured
std::set<Stream *> streams;

// The stream of a handle; null if there is none, which is an error.
Stream *stream_of(cudaStream_t handle) {
    if (handle == nullptr || handle == cudaStreamLegacy) return &legacy_stream;
    const Lock lock(one_at_a_time);
    const auto found = streams.find(reinterpret_cast<Stream *>(handle));
    if (found != streams.end()) return *found;
    fail(cudaErrorInvalidResourceHandle, "there is no such stream");
    return nullptr;
}

// ---- what a capture forbids --------------------------------------------------------------------

template <class Forbids>
cudaError_t refuse(cudaError_t code, const char *what, Forbids forbids) {
    const Lock lock(one_at_a_time);
    cudaError_t result = cudaSuccess;
    for (Stream *stream : streams) {
        if (!stream->capture || !forbids(*stream)) continue;
        stream->invalid = true;
        result = fail(code, "%s", what);
    }
    return result;
}

// "Potentially unsafe" calls, such as malloc: a relaxed capture allows them.
cudaError_t refuse_unsafe(const char *what) {
    return refuse(cudaErrorStreamCaptureUnsupported, what, [](const Stream &stream) {
        return stream.mode == cudaStreamCaptureModeGlobal ||
               (stream.mode == cudaStreamCaptureModeThreadLocal &&
                stream.captured_by == std::this_thread::get_id());
    });
}

cudaError_t refuse_legacy_stream(const char *what) {
    return refuse(cudaErrorStreamCaptureImplicit, what,
                  [](const Stream &stream) { return stream.blocking; });
}

cudaError_t wait_for_device(const char *what) {
    return refuse(cudaErrorStreamCaptureUnsupported, what, [](const Stream &) { return true; });
}

cudaError_t wait_for_stream(cudaStream_t handle, const char *what) {
    const Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    if (stream == &legacy_stream) return refuse_legacy_stream(what);
    return refuse(cudaErrorStreamCaptureUnsupported, what,
                  [=](const Stream &captured) { return &captured == stream; });
}

// ---- work --------------------------------------------------------------------------------------

// Runs a launch to its end. It returns not 0 if the kernel fails, after a call of fakecuda_fail.
typedef int (*Executor)(Function *function, const unsigned *shape, const void *const *parameters);
Executor executor = nullptr;  // without one, launches are checked and counted only

cudaError_t run(const Node &node) {
    if (node.kind == Node::copy) std::memmove(node.to, node.from, node.size);
    if (node.kind == Node::fill) std::memset(node.to, node.byte, node.size);
    if (node.kind != Node::launch || executor == nullptr) return cudaSuccess;
    std::vector<const void *> parameters;
    for (const std::string &bytes : node.parameters) parameters.push_back(bytes.data());
    const bool failed = executor(node.function, node.shape, parameters.data()) != 0;
    return failed ? failed_code : cudaSuccess;
}

cudaError_t enqueue(cudaStream_t handle, Node node, const char *what) {
    Stream *stream = stream_of(handle);
    if (stream == nullptr) return failed_code;
    if (stream == &legacy_stream)
        if (const cudaError_t refused = refuse_legacy_stream(what)) return refused;
    if (!stream->capture) return run(node);
    if (stream->invalid) return fail(cudaErrorStreamCaptureInvalidated, "%s", what);
    count("node");
    stream->capture->nodes.push_back(std::move(node));
    return cudaSuccess;
}

cudaError_t copy(cudaStream_t stream, void *to, const void *from, size_t size, bool asynchronous) {
    static const char *const names[] = {"copy H2H", "copy H2D", "copy D2H", "copy D2D"};
    const char *name = names[(device_of(to) >= 0) + 2 * (device_of(from) >= 0)];
    count(name);
    if (!asynchronous)
        if (const cudaError_t refused = refuse_unsafe(name)) return refused;
    Node node(Node::copy);
    node.to = to, node.from = from, node.size = size;
    return enqueue(stream, std::move(node), name);
}

cudaError_t fill(cudaStream_t stream, void *to, int byte, size_t size) {
    count("memset");
    Node node(Node::fill);
    node.to = to, node.byte = byte, node.size = size;
    return enqueue(stream, std::move(node), "memset");
}

}  // namespace
