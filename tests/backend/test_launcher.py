"""What the launcher checks before a kernel sees it, and how it specializes."""

from __future__ import annotations

import os
import struct
import threading

import numpy as np
import pytest

from gpucnn.backend.cuda import launcher as launchers
from gpucnn.backend.cuda.launcher import Launcher
from gpucnn.errors import DtypeError, KernelError, ShapeError

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
struct Odd { int sizes[2][3]; };
struct Lengthless { int sizes[ABSENT]; };
struct Row { real *to; const unsigned int *from[2]; index_t size; };
struct Table { Row row[LENGTH]; int count; };
extern "C" __global__ void by_value(const real *x, const Mixed m, Nested n) {}
extern "C" __global__ void array_inside(Odd o) {}
extern "C" __global__ void without_length(Lengthless o) {}
extern "C" __global__ void by_table(const Table table, real scale) {}
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

    def write(self, array, values):
        array[...] = values

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


def rows_of(recorder, dtype="float32"):
    """Two rows of a table, and where their arrays lie; a null pointer is 0."""
    a, b = np.zeros(3, dtype), np.zeros((2, 2), dtype)
    x, y = np.zeros(5, np.uint32), np.zeros(1, np.uint32)
    rows = [(a, (x, None), 3), (b, (y, x), 4)]
    address = recorder.address
    return rows, [address(a), address(x), 0, 3, address(b), address(y), address(x), 4]


def test_a_struct_may_hold_arrays(recorder):
    """A table has as many rows as are given, then zeros."""
    rows, numbers = rows_of(recorder)
    recorder.launch("mine", "by_table", 1, 32, (rows, 2), 0.5, **CONSTANTS, LENGTH=3)
    ((kernel, _, _, (table, scale)),) = recorder.runs
    assert_lies_as(table, struct.pack("=QQQi4xQQQi4x32xi4x", *numbers, 2))
    assert type(scale) is np.float32
    assert "#define LENGTH 3\n" in kernel.text


def test_arrays_in_a_struct_choose_the_variant(recorder, monkeypatch):
    rows, numbers = rows_of(recorder, "float64")
    monkeypatch.setattr(launchers, "_WIDE_FROM", 5)
    recorder.launch("mine", "by_table", 1, 32, (rows, 2), 0.5, **CONSTANTS, LENGTH=2)
    ((kernel, _, _, (table, scale)),) = recorder.runs
    assert_lies_as(table, struct.pack("=QQQqQQQqi4x", *numbers, 2))
    assert type(scale) is np.float64
    assert kernel.constants.endswith("REAL=double WIDE=1")
    assert "#define REAL double\n#define WIDE 1\n" in kernel.text


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ((np.zeros(3, np.int32), (None, None), 3), DtypeError, "table.row.to is int32"),
        ((None, (np.zeros(3, np.int32), None), 3), DtypeError, "table.row.from is int32"),
        ((None, (None, np.zeros((2, 3), np.uint32).T), 3), ShapeError, "not C-contiguous"),
        ((None, (None, 7), 3), DtypeError, "table.row.from is a builtins.int"),
        ((None, (None, None), 2**31), ShapeError, "table.row.size is 2147483648"),
        ((None, (None, None, None), 1), KernelError, "table.row.from has 2 elements, 3 were"),
    ],
)
def test_each_array_in_a_struct_is_checked(recorder, row, error, words):
    rows, _ = rows_of(recorder)
    with pytest.raises(error, match=words) as caught:
        recorder.launch("mine", "by_table", 1, 32, ([*rows, row], 3), 1.0, **CONSTANTS, LENGTH=3)
    assert caught.value.cause
    assert caught.value.fix
    assert recorder.runs == []


def test_a_variant_is_compiled_once(recorder):
    for scale in (1.0, 2.0):
        recorder.launch("mine", "work", 1, 32, *arguments(scale=scale), **CONSTANTS)
    recorder.launch("mine", "work", 1, 32, *arguments("float64"), **CONSTANTS)
    single, double = recorder.compiled
    assert single.constants == "TAP=unsigned char THREADS=32 REAL=float"
    assert double.constants == "TAP=unsigned char THREADS=32 REAL=double"
    defined = "#define TAP unsigned char\n#define THREADS 32\n#define REAL"
    assert single.text.startswith(f"{defined} float\n#line 1")
    assert double.text.startswith(f"{defined} double\n#line 1")


class Slow(Recorder):
    """Compiles only when `go` is set, so that all is asked for before; fails for `broken`."""

    def __init__(self):
        super().__init__()
        self.go, self.broken = threading.Event(), None

    def _compile(self, kernel):
        assert self.go.wait(10)
        if kernel.constants == self.broken:
            raise KernelError("it does not compile")
        return super()._compile(kernel)


def test_variants_are_compiled_ahead_at_once_and_not_launched():
    slow = Slow()

    def work():
        for dtype in ("float32", "float64", "float32"):
            slow.launch("mine", "work", 1, 32, *arguments(dtype), **CONSTANTS)
        slow.go.set()

    slow.compile_ahead(work)
    constants = [
        "TAP=unsigned char THREADS=32 REAL=double",
        "TAP=unsigned char THREADS=32 REAL=float",
    ]
    assert sorted(kernel.constants for kernel in slow.compiled) == constants
    assert slow.runs == []
    slow.compile_ahead(work)
    work()
    assert len(slow.compiled) == 2
    assert len(slow.runs) == 3


def test_arguments_are_checked_when_a_variant_is_compiled_ahead(recorder):
    args = arguments(y=np.zeros(4, np.int32))
    with pytest.raises(DtypeError, match="work: y is int32"):
        recorder.compile_ahead(lambda: recorder.launch("mine", "work", 1, 32, *args, **CONSTANTS))
    recorder.launch("mine", "work", 1, 32, *arguments(), **CONSTANTS)
    assert len(recorder.runs) == 1  # launches are launched again


def test_what_does_not_compile_ahead_fails_at_its_launch():
    slow = Slow()
    slow.go.set()
    slow.broken = "TAP=unsigned char THREADS=32 REAL=float"

    def work():
        slow.launch("mine", "work", 1, 32, *arguments(), **CONSTANTS)

    slow.compile_ahead(work)
    with pytest.raises(KernelError, match="it does not compile"):
        work()
    slow.broken = None
    work()
    assert len(slow.runs) == 1


def test_what_is_still_to_be_compiled_is_left_after_an_interruption():
    slow, args = Slow(), arguments(y=np.zeros(4, np.int32))

    def work():
        for threads in range(32, 32 + 2 * os.cpu_count()):
            slow.launch("mine", "work", 1, 32, *args, TAP="int", THREADS=threads)
        threading.Timer(0.1, slow.go.set).start()  # when the others are canceled
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slow.compile_ahead(work)
    assert len(slow.compiled) <= os.cpu_count()


@pytest.mark.parametrize("kind", ["compile_ahead", "shapes_only"])
def test_another_thread_launches_meanwhile(recorder, kind):
    def launch():
        recorder.launch("mine", "work", 1, 32, *arguments(), **CONSTANTS)

    def work():
        launch()
        other = threading.Thread(target=launch)
        other.start()
        other.join()

    if kind == "compile_ahead":
        recorder.compile_ahead(work)
    else:
        with recorder.shapes_only():
            work()
    assert len(recorder.runs) == 1


def test_for_shapes_nothing_is_compiled_or_launched(recorder):
    with recorder.shapes_only():
        with recorder.shapes_only():
            recorder.launch("mine", "work", 1, 32, *arguments(), **CONSTANTS)
        recorder.launch("mine", "work", 1, 32, *arguments(), **CONSTANTS)
    assert (recorder.compiled, recorder.runs) == ([], [])
    recorder.launch("mine", "work", 1, 32, *arguments(), **CONSTANTS)
    assert len(recorder.runs) == 1


def test_a_typedef_of_a_constant_is_the_type_of_an_array(recorder):
    args = arguments(y=np.zeros(4, np.int32))
    recorder.launch("mine", "work", 1, 32, *args, TAP="int", THREADS=32)
    with pytest.raises(DtypeError, match="work: y is int32"):
        recorder.launch("mine", "work", 1, 32, *args, **CONSTANTS)


def test_offsets_of_large_arrays_have_64_bits(recorder, monkeypatch):
    monkeypatch.setattr(launchers, "_WIDE_FROM", 4)
    recorder.launch("mine", "work", 1, 32, *arguments(n=2**40), **CONSTANTS)
    assert recorder.compiled[0].constants.endswith("WIDE=1")
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
        ("without_length", [([1, 2],)], r"parameter sizes of type int\[ABSENT\]"),
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
