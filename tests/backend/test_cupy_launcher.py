"""CuPy's launcher, on a stand-in for CuPy: what CuPy is given, and what becomes of its errors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.backend.cuda.backend import CudaBackend
from gpucnn.backend.cuda.cupy_launcher import CupyLauncher
from gpucnn.errors import DtypeError, KernelError, OutOfMemoryError, StorageError

SOURCE = """
#include "common.cuh"
extern "C" __global__ void work(const real *x, const unsigned int *step, index_t n) {}
"""


class FakeArray:
    def __init__(self, array, device):
        self.array = array
        self.data = SimpleNamespace(device_id=device, ptr=256)
        self.dtype, self.shape, self.size = array.dtype, array.shape, array.size
        self.flags = SimpleNamespace(c_contiguous=array.flags.c_contiguous)


class FakeOutOfMemory(Exception):
    pass


class CompileException(Exception):
    pass


class DriverError(Exception):
    pass


class CudaRuntimeError(Exception):
    pass


class Device:
    attributes: dict = {"MultiProcessorCount": 132}  # noqa: RUF012
    current = 0  # of this thread
    bound: list = []  # noqa: RUF012
    fault: tuple = (None, None)  # of binding the first GPU, and of returning to another

    def __init__(self, index):
        self.id = index

    @classmethod
    def set(cls, index):
        if fault := cls.fault[index != 0]:
            raise fault
        cls.bound.append(index)


@pytest.fixture(params=[0, 7], ids=["bound", "another bound"])
def cupy(monkeypatch, request):
    """A stand-in that keeps what is compiled and launched, and fails on demand."""
    monkeypatch.setattr(Device, "current", request.param)
    state = SimpleNamespace(launches=[], compiled=[], fail=None)

    def function(grid, block, args, shared_mem):
        of_the_device()
        if state.fail == "launch":
            raise DriverError("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES")
        state.launches.append((grid, block, args))

    def raw_module(code, options, backend):
        of_the_device()
        if state.fail == "compile":
            raise CompileException("kernels/mine.cu(3): error: expected a ;")
        if state.fail == "cache":
            raise OSError(30, "Read-only file system")
        state.compiled.append((code, options))
        return SimpleNamespace(get_function=lambda name: function)

    def empty(shape, dtype):
        of_the_device()
        if state.fail == "memory":
            raise FakeOutOfMemory("Out of memory allocating 6,000,000 bytes (allocated so far: 9).")
        return FakeArray(np.empty(shape, dtype), 0)

    def of_the_device(*_):
        """A call that waits for the device, or asks it something."""
        if isinstance(state.fail, Exception):
            raise state.fail
        return (1_000_000, 9_000_000)

    module = SimpleNamespace(
        ndarray=FakeArray,
        RawModule=raw_module,
        empty=empty,
        add=of_the_device,
        asnumpy=of_the_device,
        asarray=lambda array, dtype: of_the_device(),
        get_default_memory_pool=lambda: SimpleNamespace(used_bytes=lambda: 2_000_000),
        cuda=SimpleNamespace(
            Device=Device,
            compiler=SimpleNamespace(CompileException=CompileException),
            driver=SimpleNamespace(CUDADriverError=DriverError),
            memory=SimpleNamespace(OutOfMemoryError=FakeOutOfMemory),
            runtime=SimpleNamespace(
                CUDARuntimeError=CudaRuntimeError,
                memGetInfo=of_the_device,
                getDeviceProperties=of_the_device,
                getDevice=lambda: Device.current,
                setDevice=Device.set,
            ),
        ),
    )
    monkeypatch.setitem(__import__("sys").modules, "cupy", module)
    launcher = CupyLauncher(0)
    launcher.add_source("mine", SOURCE)
    return state, launcher


def array(device=0):
    return FakeArray(np.zeros(4, np.float32), device)


def launch(launcher, device=0):
    launcher.launch("mine", "work", 2, 32, array(device), None, 4)


def test_cupy_gets_arrays_and_numpy_scalars(cupy):
    state, launcher = cupy
    x = array()
    launcher.launch("mine", "work", 2, 32, x, None, 4)
    ((grid, block, values),) = state.launches
    assert (grid, block) == ((2, 1, 1), (32, 1, 1))
    assert values[0] is x
    assert values[1].dtype.itemsize == 8  # a pointer
    assert values[1] == 0


def test_the_options_of_the_compiler_are_constant(cupy):
    """CuPy takes 15 ms for each set of options in each process."""
    state, launcher = cupy
    launch(launcher)
    launcher.launch("mine", "work", 2, 32, array(), None, 4, SIZE=3)
    (first, options), (second, same) = state.compiled
    assert options == same
    assert not any(option.startswith("-D") for option in options)
    assert first.startswith("#define REAL float\n#line 1")
    assert second == f"#define SIZE 3\n{first}"


def test_an_array_of_another_gpu_is_refused(cupy):
    state, launcher = cupy
    with pytest.raises(DtypeError, match="must be an array of cuda:0"):
        launch(launcher, device=1)
    assert state.launches == []


def test_failures_name_the_kernel_the_shapes_and_the_cause(cupy):
    state, launcher = cupy
    state.fail = "compile"
    with pytest.raises(KernelError, match="does not compile") as caught:
        launch(launcher)
    assert "kernels/mine.cu(3)" in caught.value.cause
    state.fail = "launch"
    with pytest.raises(KernelError, match=r"work on \(4,\) float32") as caught:
        launch(launcher)
    assert "OUT_OF_RESOURCES" in caught.value.cause


def test_out_of_memory_says_what_was_asked_and_what_would_fit(cupy):
    state, launcher = cupy
    state.fail = "memory"
    with pytest.raises(OutOfMemoryError, match=r"\(64, 5\)") as caught:
        launcher.empty((64, 5), np.float32)
    assert "6 MB were asked for, 1 MB of 9 MB are free, 2 MB are held" in caught.value.cause
    # 3 of the 8 MB that the batch has asked for so far are to be had.
    assert caught.value.fitting(64) == 23
    assert isinstance(caught.value, MemoryError)
    with (
        pytest.raises(OutOfMemoryError, match="the result of an expression does not fit"),
        launcher.quiet_device(),
    ):
        launcher.cupy.empty((64, 5), np.float32)


def expression(launcher):
    with launcher.quiet_device():
        launcher.cupy.add(1, 2)


CALLS_OF_CUPY = {
    "an array of (2, 1)": lambda launcher: launcher.asarray([[1.0], [2.0]]),
    "an array of (3, 4)": lambda launcher: launcher.empty([3, 4], np.float32),
    "a copy of (4,) to the host": lambda launcher: launcher.to_numpy(array()),
    "the result of an expression": expression,
    "a query": CupyLauncher.describe,
}


@pytest.mark.parametrize("error", [CudaRuntimeError, DriverError])
@pytest.mark.parametrize("what", CALLS_OF_CUPY)
def test_a_fault_of_the_gpu_is_our_error_wherever_it_shows_up(cupy, what, error):
    state, launcher = cupy
    state.fail = error("cudaErrorIllegalAddress")
    with pytest.raises(KernelError) as caught:
        CALLS_OF_CUPY[what](launcher)
    assert caught.value.message == f"{what}: cuda:0 reports an error"
    assert caught.value.cause == "cudaErrorIllegalAddress"
    assert "CUDA_LAUNCH_BLOCKING=1" in caught.value.fix
    assert caught.value.__suppress_context__  # CuPy's is not shown beside it


LAUNCHED = (
    "work on (4,) float32: a launch of (2, 1, 1) blocks of (32, 1, 1) threads: cuda:0 reports"
)


@pytest.mark.parametrize(
    ("error", "compiled", "said"),
    [
        (CudaRuntimeError, True, LAUNCHED),
        (DriverError, True, LAUNCHED),
        (CudaRuntimeError, False, "the kernel work: cuda:0 reports"),
        (DriverError, False, "kernels/mine.cu cannot be loaded"),
    ],
)
def test_a_fault_that_shows_up_in_a_launch_names_the_kernel(cupy, error, compiled, said):
    state, launcher = cupy
    if compiled:
        launch(launcher)
    state.fail = error("cudaErrorIllegalAddress")
    with pytest.raises(KernelError) as caught:
        launch(launcher)
    assert caught.value.message.startswith(said)
    assert caught.value.cause == "cudaErrorIllegalAddress"


@pytest.mark.parametrize("what", CALLS_OF_CUPY)
def test_a_fault_that_shows_up_when_the_device_is_bound(cupy, monkeypatch, what):
    state, launcher = cupy
    first, second = CudaRuntimeError("cudaErrorIllegalAddress"), CudaRuntimeError("later")
    monkeypatch.setattr(Device, "current", 7)
    monkeypatch.setattr(Device, "fault", (first, None))
    with pytest.raises(KernelError, match="cudaErrorIllegalAddress"):
        CALLS_OF_CUPY[what](launcher)
    monkeypatch.setattr(Device, "fault", (None, second))
    state.fail = first
    with pytest.raises(KernelError, match="cudaErrorIllegalAddress"):
        CALLS_OF_CUPY[what](launcher)
    state.fail = None
    with pytest.raises(KernelError, match="later"), launcher.quiet_device():
        pass


def test_the_gpu_is_bound_only_if_another_one_is_current(cupy, monkeypatch):
    _, launcher = cupy
    for current, calls in ((7, [0, 7]), (0, [])):
        monkeypatch.setattr(Device, "current", current)
        monkeypatch.setattr(Device, "bound", [])
        launcher.empty((4,), np.float32)
        assert Device.bound == calls


def test_a_gpu_that_cannot_be_started(cupy, monkeypatch):
    monkeypatch.setattr(Device, "current", 7)
    monkeypatch.setattr(Device, "fault", (CudaRuntimeError("cudaErrorDevicesUnavailable"), None))
    with pytest.raises(KernelError, match="cudaErrorDevicesUnavailable"):
        CupyLauncher(0)


def test_an_expression_whose_kernel_does_not_compile(cupy):
    state, launcher = cupy
    state.fail = CompileException("a header is missing\n")
    with pytest.raises(KernelError, match="expression: a kernel does not compile") as caught:
        expression(launcher)
    assert caught.value.cause == "a header is missing"


def test_another_error_is_left_as_it_is(cupy, monkeypatch):
    state, launcher = cupy
    state.fail = ZeroDivisionError("mine")
    with pytest.raises(ZeroDivisionError, match="mine"):
        expression(launcher)
    state.fail = None
    monkeypatch.setattr(Device, "current", 7)
    for fault in ((None, ZeroDivisionError("b")), (ZeroDivisionError("b"), None)):
        monkeypatch.setattr(Device, "fault", fault)
        with pytest.raises(ZeroDivisionError, match="b"):
            expression(launcher)


def test_out_of_memory_of_a_gpu_that_answers_no_more(cupy):
    state, launcher = cupy
    state.fail = "memory"

    def dead():
        raise CudaRuntimeError("dead")

    launcher.cupy.cuda.runtime.memGetInfo = dead
    with pytest.raises(KernelError, match="free memory") as caught:
        launcher.empty((64, 5), np.float32)
    assert caught.value.cause == "dead"


READS = {
    "numpy": Tensor.numpy,
    "item": Tensor.item,
    "float": float,
    "int": int,
    "bool": bool,
    "format": lambda x: f"{x:.3f}",
    "print": str,
}


@pytest.mark.parametrize("read", READS)
def test_a_fault_that_shows_up_when_a_tensor_is_read(cupy, monkeypatch, read):
    class CupyArray(FakeArray):
        ndim, device = 0, SimpleNamespace(id=0)

    CupyArray.__module__ = "cupy"
    state, launcher = cupy
    gpu = CudaBackend("cuda:0", launcher.cupy, launcher)
    monkeypatch.setattr(backends, "_cuda", lambda index: gpu)
    x = Tensor(CupyArray(np.array(2.5, np.float32), 0))
    state.fail = CudaRuntimeError("cudaErrorIllegalAddress")
    with pytest.raises(KernelError, match="to the host: cuda:0 reports an error"):
        READS[read](x)


def test_a_cache_that_cannot_be_written_is_named(cupy):
    state, launcher = cupy
    state.fail = "cache"
    with pytest.raises(StorageError, match="CUPY_CACHE_DIR") as caught:
        launch(launcher)
    assert "Read-only" in caught.value.cause
