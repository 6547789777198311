"""What the launcher checks before a kernel sees it, and how it specializes; CuPy is a stand-in."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.backend.cuda import launcher as launchers
from gpucnn.backend.cuda.backend import CudaBackend
from gpucnn.backend.cuda.cupy_launcher import CupyLauncher
from gpucnn.backend.cuda.launcher import Launcher
from gpucnn.errors import DtypeError, KernelError, OutOfMemoryError, ShapeError, StorageError

SOURCE = """
#include "common.cuh"
typedef TAP tap_t;
extern "C" __global__ void __launch_bounds__(THREADS, 2) work(
    const real *__restrict__ x,  // a comment, with a comma
    tap_t *y, const unsigned int *step, index_t n, float scale, real eps) {
}
extern "C" __global__ void odd(wchar_t c) {}

struct Mixed {
    unsigned char kind;  // then 7 bytes of padding, for the number below
    double scale;        // a comment; with a semicolon
    int N, C,
        H;
    index_t n;
    real eps;
};
struct Nested { Mixed mixed; unsigned int count; };
struct Odd { int sizes[2]; };
extern "C" __global__ void by_value(const real *x, const Mixed m, Nested n) {}
extern "C" __global__ void array_inside(Odd o) {}
"""
CONSTANTS = {"TAP": "unsigned char", "THREADS": 32}


class Recorder(Launcher):
    """Compiles nothing and keeps what it is asked to run; its arrays are NumPy's."""

    name = "recorder"
    multiprocessors = 4

    def __init__(self):
        super().__init__()
        self.compiled, self.runs = [], []
        self.add_source("mine", SOURCE)

    def asarray(self, array, dtype=None):
        return np.asarray(array, dtype)

    def to_numpy(self, array):
        return array

    def owns(self, array):
        return type(array) is np.ndarray

    def empty(self, shape, dtype):
        return np.empty(shape, dtype)

    def address(self, array):
        return array.ctypes.data

    def describe(self):
        return {}

    def quiet_device(self):
        raise NotImplementedError

    def _compile(self, kernel):
        self.compiled.append(kernel)
        return kernel

    def _run(self, handle, grid, block, values, shared):
        self.runs.append((handle, grid, block, values))


@pytest.fixture
def recorder():
    return Recorder()


def arguments(dtype="float32", **changed):
    given = {
        "x": np.zeros(4, dtype),
        "y": np.zeros(4, np.uint8),
        "step": np.zeros(1, np.uint32),
        "n": 4,
        "scale": 0.5,
        "eps": 1e-5,
    }
    return list((given | changed).values())


def test_numbers_get_the_declared_types(recorder):
    recorder.launch("mine", "work", 3, (32, 2), *arguments(), **CONSTANTS)
    ((_, grid, block, values),) = recorder.runs
    assert (grid, block) == ((3, 1, 1), (32, 2, 1))
    assert [type(v) for v in values[3:]] == [np.int32, np.float32, np.float32]
    recorder.launch("mine", "work", 3, 32, *arguments("float64"), **CONSTANTS)
    assert [type(v) for v in recorder.runs[1][3][3:]] == [np.int32, np.float32, np.float64]


MIXED = (3, 0.5, 1, -2, 2**31 - 1, 7, 1e-5)


def test_a_struct_has_the_layout_of_c(recorder):
    x = np.zeros(4, np.float32)
    recorder.launch("mine", "by_value", 1, 32, x, MIXED, (MIXED, 2**32 - 1), **CONSTANTS)
    ((_, _, _, (_, mixed, nested)),) = recorder.runs
    want = struct.pack("=B7xdiiiif4x", *MIXED)
    assert_lies_as(mixed, want)
    assert_lies_as(nested, want + struct.pack("=I4x", 2**32 - 1))
    # 64-bit offsets, and doubles for `real`.
    recorder.wide = True
    recorder.launch("mine", "by_value", 1, 32, x.astype(float), MIXED, (MIXED, 0), **CONSTANTS)
    assert_lies_as(recorder.runs[1][3][1], struct.pack("=B7xdiii4xqd", *MIXED))


def assert_lies_as(value, memory):
    """Equal but for the padding between fields, which may hold anything."""
    assert len(value.tobytes()) == len(memory)
    assert value == np.frombuffer(memory, value.dtype)[0]


@pytest.mark.parametrize(
    ("position", "value", "words"),
    [
        (0, 256, "m.kind is 256"),
        (2, -(2**31) - 1, "m.N is -2147483649"),
        (4, 2**31, "m.H is 2147483648"),
        (3, 0.5, "m.C is 0.5"),
        (5, 2**31, "m.n is 2147483648"),
    ],
)
def test_each_field_of_a_struct_is_checked(recorder, position, value, words):
    values = (*MIXED[:position], value, *MIXED[position + 1 :])
    x = np.zeros(4, np.float32)
    with pytest.raises(ShapeError, match=words):
        recorder.launch("mine", "by_value", 1, 32, x, values, (MIXED, 0), **CONSTANTS)
    with pytest.raises(ShapeError, match=words.replace("m.", "n.mixed.", 1)):
        recorder.launch("mine", "by_value", 1, 32, x, MIXED, (values, 0), **CONSTANTS)
    assert recorder.runs == []


@pytest.mark.parametrize("values", [MIXED[:-1], (*MIXED, 1)], ids=["too few", "too many"])
def test_a_struct_takes_a_number_for_each_field(recorder, values):
    x = np.zeros(4, np.float32)
    with pytest.raises(KernelError, match=f"m has 7 fields, {len(values)} numbers") as caught:
        recorder.launch("mine", "by_value", 1, 32, x, values, (MIXED, 0), **CONSTANTS)
    assert "kind, scale, N, C, H, n, eps" in caught.value.cause


def test_a_variant_is_compiled_once(recorder):
    for scale in (1.0, 2.0):
        recorder.launch("mine", "work", 1, 32, *arguments(scale=scale), **CONSTANTS)
    recorder.launch("mine", "work", 1, 32, *arguments("float64"), **CONSTANTS)
    single, double = recorder.compiled
    assert "-DREAL=float" in single.options
    assert "-DREAL=double" in double.options
    assert {"-DTAP=unsigned char", "-DTHREADS=32"} <= set(single.options)


def test_a_typedef_of_a_constant_is_the_type_of_an_array(recorder):
    args = arguments(y=np.zeros(4, np.int32))
    recorder.launch("mine", "work", 1, 32, *args, TAP="int", THREADS=32)
    with pytest.raises(DtypeError, match="work: y is int32"):
        recorder.launch("mine", "work", 1, 32, *args, **CONSTANTS)


def test_offsets_of_large_arrays_have_64_bits(recorder, monkeypatch):
    monkeypatch.setattr(launchers, "_WIDE_FROM", 4)
    recorder.launch("mine", "work", 1, 32, *arguments(n=2**40), **CONSTANTS)
    assert "-DWIDE" in recorder.compiled[0].options
    assert type(recorder.runs[0][3][3]) is np.int64
    monkeypatch.undo()
    with pytest.raises(ShapeError, match="work: n is 1099511627776"):
        recorder.launch("mine", "work", 1, 32, *arguments(n=2**40), **CONSTANTS)
    recorder.wide = True
    recorder.launch("mine", "work", 1, 32, *arguments(n=2**40), **CONSTANTS)


def test_a_kernel_is_compiled_alone_and_keeps_its_lines(recorder):
    recorder.add_source(
        "two",
        """
extern "C" __global__ void first(int n) {
    if (n) {
    }
}
extern "C" __global__ void short(int n) {}
#define AFTER
extern "C" __global__ void __launch_bounds__(32)
    last(int n) {
}
""",
    )
    recorder.launch("two", "last", 1, 1, 0)
    recorder.launch("two", "short", 1, 1, 0)
    last, short = (kernel.text.splitlines()[1:] for kernel in recorder.compiled)
    assert last == [
        "",
        "",
        "",
        "",
        "",
        "",
        "#define AFTER",
        'extern "C" __global__ void __launch_bounds__(32)',
        "    last(int n) {",
        "}",
    ]
    assert short == [
        "",
        "",
        "",
        "",
        "",
        'extern "C" __global__ void short(int n) {}',
        "#define AFTER",
        "",
        "",
        "",
    ]


def test_an_empty_grid_launches_nothing(recorder):
    recorder.launch("mine", "work", (4, 0), 32, *arguments(), **CONSTANTS)
    assert recorder.runs == []


def test_none_is_a_null_pointer_and_no_number(recorder):
    recorder.launch("mine", "work", 1, 32, *arguments(y=None), **CONSTANTS)
    assert recorder.runs[0][3][1] is None
    with pytest.raises(TypeError):
        recorder.launch("mine", "work", 1, 32, *arguments(n=None), **CONSTANTS)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"x": np.zeros((4, 4), np.float32).T[1:]}, ShapeError, "x of shape .* not C-contiguous"),
        ({"x": np.zeros(4, np.float16)}, DtypeError, "arrays of float16"),
        ({"x": [1.0]}, DtypeError, "x is a builtins.list"),
        ({"y": np.zeros(4, np.int8)}, DtypeError, "y is int8"),
        ({"step": 3}, DtypeError, "step is a builtins.int"),
        ({"n": 2**31}, ShapeError, "n is 2147483648"),
        ({"n": 1.5}, ShapeError, "n is 1.5"),
    ],
)
def test_an_argument_that_the_source_does_not_declare(recorder, changed, error, words):
    with pytest.raises(error, match=words) as caught:
        recorder.launch("mine", "work", 1, 32, *arguments(**changed), **CONSTANTS)
    assert caught.value.cause
    assert caught.value.fix
    assert recorder.runs == []


def test_what_is_wrong_with_a_kernel_itself(recorder):
    for name, args, words in (
        ("work", [], "takes 6 arguments, 0 were given"),
        ("absent", [], "no kernel absent"),
        ("odd", [1], "parameter c of type wchar_t"),
        ("array_inside", [(1, 2)], "parameter o of type Odd"),
    ):
        with pytest.raises(KernelError, match=words):
            recorder.launch("mine", name, 1, 32, *args, **CONSTANTS)


@pytest.mark.parametrize("grid", [2**31, -1, (1, 65536), (1, 1, 65536), (4, -2), (1, 1, -1)])
def test_a_grid_that_no_gpu_takes(recorder, grid):
    with pytest.raises(KernelError, match="a grid of") as caught:
        recorder.launch("mine", "work", grid, 32, *arguments(), **CONSTANTS)
    assert "takes 1 to (2147483647, 65535, 65535)" in caught.value.cause
    assert "(4,) float32" in caught.value.cause


def test_includes_are_put_in_once_and_lines_keep_their_numbers(recorder):
    recorder.add_source("twice", '#include "philox.cuh"\n#include "common.cuh"\nlast line\n')
    lines = recorder.text("twice").splitlines()
    assert sum("typedef REAL real;" in line for line in lines) == 1
    assert not any(line.startswith(("#include", "#pragma once")) for line in lines)
    assert lines[-2:] == ['#line 3 "kernels/twice.cu"', "last line"]


# ---- CuPy's launcher, on a stand-in for CuPy ------------------------------------------------


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
    fault: tuple = (None, None)  # of entering it, and of leaving it

    def __init__(self, index):
        self.id = index

    def __enter__(self):
        if self.fault[0]:
            raise self.fault[0]
        return self

    def __exit__(self, *_):
        if self.fault[1]:
            raise self.fault[1]


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in that keeps what is compiled and launched, and fails on demand."""
    state = SimpleNamespace(launches=[], options=None, fail=None)

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
        state.options = options
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
            ),
        ),
    )
    monkeypatch.setitem(__import__("sys").modules, "cupy", module)
    launcher = CupyLauncher(0)
    launcher.add_source("mine", SOURCE)
    return state, launcher


def fake_arguments(device=0, **changed):
    return [FakeArray(a, device) if isinstance(a, np.ndarray) else a for a in arguments(**changed)]


def test_cupy_gets_arrays_and_numpy_scalars(cupy):
    state, launcher = cupy
    args = fake_arguments(step=None)
    launcher.launch("mine", "work", 2, 32, *args, **CONSTANTS)
    ((grid, block, values),) = state.launches
    assert (grid, block) == ((2, 1, 1), (32, 1, 1))
    assert values[0] is args[0]
    assert values[2].dtype.itemsize == 8  # a pointer
    assert values[2] == 0
    assert state.options[0] == "-std=c++17"
    assert "-DREAL=float" in state.options


def test_an_array_of_another_gpu_is_refused(cupy):
    state, launcher = cupy
    with pytest.raises(DtypeError, match="must be an array of cuda:0"):
        launcher.launch("mine", "work", 2, 32, *fake_arguments(device=1), **CONSTANTS)
    assert state.launches == []


def test_failures_name_the_kernel_the_shapes_and_the_cause(cupy):
    state, launcher = cupy
    state.fail = "compile"
    with pytest.raises(KernelError, match="does not compile") as caught:
        launcher.launch("mine", "work", 2, 32, *fake_arguments(), **CONSTANTS)
    assert "kernels/mine.cu(3)" in caught.value.cause
    state.fail = "launch"
    with pytest.raises(KernelError, match=r"work on \(4,\) float32") as caught:
        launcher.launch("mine", "work", 2, 32, *fake_arguments(), **CONSTANTS)
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


def launch(launcher):
    launcher.launch("mine", "work", 2, 32, *fake_arguments(), **CONSTANTS)


CALLS_OF_CUPY = {
    "an array of (2, 1)": lambda launcher: launcher.asarray([[1.0], [2.0]]),
    "an array of (3, 4)": lambda launcher: launcher.empty([3, 4], np.float32),
    "a copy of (4,) to the host": lambda launcher: launcher.to_numpy(fake_arguments()[0]),
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


@pytest.mark.parametrize("error", [CudaRuntimeError, DriverError])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_fault_that_shows_up_in_a_launch_names_the_kernel(cupy, error, compiled):
    state, launcher = cupy
    if compiled:
        launch(launcher)
    state.fail = error("cudaErrorIllegalAddress")
    with pytest.raises(KernelError) as caught:
        launch(launcher)
    assert "cudaErrorIllegalAddress" in str(caught.value)
    named = r"work on \(4,\) float32, .*: a launch of \(2, 1, 1\) blocks" if compiled else "mine.cu"
    assert caught.match(named)


@pytest.mark.parametrize("what", CALLS_OF_CUPY)
def test_a_fault_that_shows_up_when_the_device_is_bound(cupy, monkeypatch, what):
    state, launcher = cupy
    first, second = CudaRuntimeError("cudaErrorIllegalAddress"), CudaRuntimeError("later")
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
        launcher.launch("mine", "work", 2, 32, *fake_arguments(), **CONSTANTS)
    assert "Read-only" in caught.value.cause
