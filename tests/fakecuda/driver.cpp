// A CUDA driver that owns no GPU: libcuda.so.1, and the CUDA runtime for CuPy.
//
// Memory is the host's, and a call has done its work when it returns. A kernel comes as the cubin
// that NVRTC made; a launch is checked against that and against the limits of CUDA, then handed to
// the executor, which is the simulator. A stream that is captured collects its work in a graph, and
// refuses what CUDA refuses. Each kind of call is counted.
#include "runtime.h"
#include "take_over.h"

#define DRIVER(name, ...) extern "C" CUresult name(__VA_ARGS__)

namespace {

CUresult as_driver(cudaError_t error) { return static_cast<CUresult>(error); }

CUresult unknown_kernel() {
    return as_driver(fail(cudaErrorInvalidResourceHandle, "an unknown kernel"));
}

char contexts[64];  // their addresses are the contexts of the devices

}  // namespace

// ---- for Python: fake_driver.py ----------------------------------------------------------------

extern "C" void fakecuda_set_executor(Executor given) { executor = given; }

// The executor says by it why a launch fails.
extern "C" int fakecuda_fail(const char *because) {
    return fail(cudaErrorLaunchFailure, "%s", because);
}

extern "C" int fakecuda_architecture() { return architecture; }

// A line for each kind of call: its name, a tab, how many there were.
extern "C" const char *fakecuda_counters() {
    static std::string lines;
    const Lock lock(one_at_a_time);
    lines.clear();
    for (const auto &counter : counters)
        lines += counter.first + "\t" + std::to_string(counter.second) + "\n";
    return lines.c_str();
}

extern "C" const char *fakecuda_name(const Function *kernel) { return kernel->name.c_str(); }
extern "C" const Module *fakecuda_module(const Function *kernel) { return kernel->module; }

// How many parameters a kernel has, and the bytes of each.
extern "C" unsigned fakecuda_parameters(const Function *kernel, const unsigned **sizes) {
    *sizes = kernel->sizes.data();
    return static_cast<unsigned>(kernel->sizes.size());
}

// ---- the driver, as far as CuPy and NVRTC call it ----------------------------------------------

DRIVER(cuInit, unsigned) { return CUDA_SUCCESS; }
DRIVER(cuDriverGetVersion, int *version) { return *version = CUDA_VERSION, CUDA_SUCCESS; }
DRIVER(cuGetErrorName, CUresult error, const char **name) {
    *name = failure(error).driver;
    return CUDA_SUCCESS;
}
DRIVER(cuGetErrorString, CUresult error, const char **text) {
    *text = error_text(error);
    return CUDA_SUCCESS;
}
// NVRTC asks for tables that are documented nowhere, and does without.
DRIVER(cuGetExportTable, const void **table, const CUuuid *) {
    *table = nullptr;
    return CUDA_ERROR_NOT_FOUND;
}

DRIVER(cuCtxGetCurrent, CUcontext *context) {
    *context = reinterpret_cast<CUcontext>(&contexts[current_device]);
    return CUDA_SUCCESS;
}
DRIVER(cuCtxSetCurrent, CUcontext) { return CUDA_SUCCESS; }
DRIVER(cuCtxGetDevice, CUdevice *device) { return *device = current_device, CUDA_SUCCESS; }
DRIVER(cuStreamGetCtx, CUstream, CUcontext *context) { return cuCtxGetCurrent(context); }

DRIVER(cuModuleLoadData, CUmodule *module, const void *image) {
    count("module load");
    auto *loaded = new Module;  // kept for ever: Python knows its text by its address
    *module = reinterpret_cast<CUmodule>(loaded);
    return as_driver(read_cubin(*loaded, static_cast<const char *>(image)));
}
DRIVER(cuModuleUnload, CUmodule) { return CUDA_SUCCESS; }
DRIVER(cuModuleGetFunction, CUfunction *function, CUmodule module, const char *name) {
    auto &functions = reinterpret_cast<Module *>(module)->functions;
    const auto found = functions.find(name);
    if (found == functions.end())
        return as_driver(fail(cudaErrorSymbolNotFound, "the module has no kernel %s", name));
    *function = reinterpret_cast<CUfunction>(&found->second);
    return CUDA_SUCCESS;
}

DRIVER(cuFuncGetAttribute, int *value, CUfunction_attribute attribute, CUfunction function) {
    const Function *kernel = function_of(function);
    if (kernel == nullptr) return unknown_kernel();
    unsigned found = 0;
    if (attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) found = kernel->most_threads;
    if (attribute == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES) found = kernel->shared;
    if (attribute == CU_FUNC_ATTRIBUTE_NUM_REGS) found = kernel->registers;
    if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) found = kernel->most_dynamic;
    *value = static_cast<int>(found);
    return CUDA_SUCCESS;
}
DRIVER(cuFuncSetAttribute, CUfunction function, CUfunction_attribute attribute, int value) {
    Function *kernel = function_of(function);
    if (kernel == nullptr) return unknown_kernel();
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
    if (value < 0 || kernel->shared + static_cast<unsigned>(value) > most_shared())
        return as_driver(fail(cudaErrorInvalidValue,
                              "%s: %u bytes of static and %d of dynamic shared memory, a block of "
                              "sm_%d has %u",
                              kernel->name.c_str(), kernel->shared, value, architecture,
                              most_shared()));
    kernel->most_dynamic = static_cast<unsigned>(value);
    return CUDA_SUCCESS;
}

DRIVER(cuGraphGetNodes, CUgraph graph, CUgraphNode *nodes, size_t *count) {
    if (nodes != nullptr)
        return as_driver(fail(cudaErrorNotSupported, "nodes of a graph are counted only"));
    *count = reinterpret_cast<Graph *>(graph)->nodes.size();
    return CUDA_SUCCESS;
}

DRIVER(cuLaunchKernel, CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
       unsigned block_x, unsigned block_y, unsigned block_z, unsigned dynamic, CUstream stream,
       void **parameters, void **) {
    Function *kernel = function_of(function);
    if (kernel == nullptr) return unknown_kernel();
    count("launch");
    count("launch " + kernel->name);
    const unsigned grid[] = {grid_x, grid_y, grid_z}, block[] = {block_x, block_y, block_z};
    if (const cudaError_t failed = check_launch(*kernel, grid, block, dynamic))
        return as_driver(failed);
    Node node(Node::launch);
    node.function = kernel;
    std::copy(grid, grid + 3, node.shape);
    std::copy(block, block + 3, node.shape + 3);
    node.shape[6] = dynamic;
    for (size_t i = 0; i < kernel->sizes.size(); ++i)
        node.parameters.emplace_back(static_cast<const char *>(parameters[i]), kernel->sizes[i]);
    return as_driver(enqueue(stream, std::move(node), kernel->name.c_str()));
}
