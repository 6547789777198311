"""Each check of a launch finds the fault that is planted for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakecuda import run

from gpucnn import backend
from gpucnn.errors import KernelError

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

LONE = 'extern "C" __global__ void lone(float *x) { x[0] = 1; }\n'


class TestShape:
    @pytest.mark.parametrize(
        ("grid", "block", "words"),
        [
            ((1,), (1025,), "set: a block of 1025 x 1 x 1 threads"),
            ((1,), (32, 33), "set: a block of 32 x 33 x 1 threads"),
            ((1,), (1, 1, 65), "set: a block of 1 x 1 x 65 threads"),
            ((1, 65536), (1,), "set: a grid of 1 x 65536 x 1 blocks"),
            ((1, 1, 65536), (1,), "set: a grid of 1 x 1 x 65536 blocks"),
        ],
    )
    def test_limits(
        self, cupy: Any, kernel: Any, fails: Any, grid: Any, block: Any, words: str
    ) -> None:
        with fails(f"CUDA_ERROR_INVALID_VALUE: invalid argument: {words}"):
            kernel("set")(grid, block, (cupy.zeros(1, "float32"), np.float32(1)))

    def test_launch_bounds(self, cupy: Any, kernel: Any, fails: Any) -> None:
        bounded, x = kernel("bounded"), cupy.zeros(129, "float32")
        bounded((1,), (128,), (x,))
        assert x.get().tolist() == [1.0] * 128 + [0.0]
        with fails("bounded: a block of 129 threads, __launch_bounds__ allow 128"):
            bounded((1,), (129,), (x,))

    def test_registers(self, cupy: Any, kernel: Any, fails: Any) -> None:
        many = kernel("many_registers")
        warps = 65536 // (-(-many.num_regs // 8) * 8 * 32)  # registers are given by eights
        assert warps < 32, "a block of any size may have so few registers"
        x, y = cupy.ones((100, 1024), "float32"), cupy.zeros((100, 1024), "float32")
        many((1,), (warps * 32,), (x, y))
        assert y.get().sum() == 100 * warps * 32
        threads = warps * 32 + 1  # which take the registers of a whole warp more
        with fails(f"OUT_OF_RESOURCES.* {threads} threads of {many.num_regs} registers"):
            many((1,), (threads,), (x, y))

    def test_words_reach_a_user(self, cupy: Any) -> None:
        launcher = backend.get("cuda").launcher
        launcher.add_source("lone", LONE)
        with pytest.raises(KernelError, match=r"lone on \(3,\) float32: a launch of") as caught:
            launcher.launch("lone", "lone", 1, 2048, cupy.zeros(3, "float32"))
        assert "a block of 2048 x 1 x 1 threads" in str(caught.value.cause)


class TestSharedMemory:
    def test_without_permission(self, cupy: Any, kernel: Any, fails: Any) -> None:
        dynamic, x = kernel("dynamic_shared"), cupy.zeros(1, "float32")
        dynamic((1,), (256,), (x,), shared_mem=49152)
        assert x.get() == 256
        with fails("0 bytes of static and 49153 of dynamic shared memory, it may have 49152"):
            dynamic((1,), (256,), (x,), shared_mem=49153)

    def test_static_beside_dynamic(self, cupy: Any, kernel: Any, fails: Any) -> None:
        both, x = kernel("both_shared"), cupy.zeros(1, "float32")
        both((1,), (1,), (x,), shared_mem=49152 - 1024)
        assert x.get() == 2
        with fails("1024 bytes of static and 48129 of dynamic shared memory"):
            both((1,), (1,), (x,), shared_mem=49152 - 1023)

    def test_with_permission(self, cupy: Any, kernel: Any, fails: Any) -> None:
        both, x = kernel("both_shared"), cupy.zeros(1, "float32")
        both.max_dynamic_shared_size_bytes = 60000
        both((1,), (1,), (x,), shared_mem=60000)
        assert x.get() == 2
        with fails("1024 bytes of static and 60001 of dynamic shared memory"):
            both((1,), (1,), (x,), shared_mem=60001)

    def test_more_than_there_is(self, cupy: Any, kernel: Any, fails: Any) -> None:
        most = cupy.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"]
        both = kernel("both_shared")
        both.max_dynamic_shared_size_bytes = most - 1024
        with fails(f"{most - 1023} of dynamic shared memory, a block of sm_[0-9]+ has {most}"):
            both.max_dynamic_shared_size_bytes = most - 1023


class TestParameters:
    PAIR = np.array((4, 5.0), np.dtype([("first", "i4"), ("second", "f8")], align=True))[()]
    RIGHT = (np.int32(1), np.float64(2), np.uint8(3), PAIR)

    def test_right(self, cupy: Any, kernel: Any) -> None:
        x = cupy.zeros(1)
        kernel("arguments")((1,), (1,), (x, *self.RIGHT))
        assert x.get() == 15

    @pytest.mark.parametrize(
        ("place", "wrong"),
        [
            (0, np.int64(1)),
            (0, 1),  # CuPy passes Python's numbers in 8 bytes
            (1, np.float32(2)),
            (2, np.int32(3)),
            (3, np.float64(4)),
            (3, np.array((4, 5.0), np.dtype([("first", "i4"), ("second", "f8")]))[()]),  # packed
        ],
    )
    def test_wrong_size(self, cupy: Any, kernel: Any, place: int, wrong: Any) -> None:
        given = [*self.RIGHT]
        given[place] = wrong
        with pytest.raises(TypeError, match=r"arguments of \(.*\) bytes, the cubin has \(8, 4, 8,"):
            kernel("arguments")((1,), (1,), (cupy.zeros(1), *given))

    @pytest.mark.parametrize("given", [RIGHT[:-1], (*RIGHT, np.int32(0))])
    def test_wrong_number(self, cupy: Any, kernel: Any, given: Any) -> None:
        with pytest.raises(TypeError, match="the cubin has"):
            kernel("arguments")((1,), (1,), (cupy.zeros(1), *given))


class TestUnknown:
    def test_name(self, cupy: Any, fails: Any) -> None:
        module = cupy.RawModule(code=LONE, backend="nvrtc")
        with fails("CUDA_ERROR_NOT_FOUND.* the module has no kernel nothing"):
            module.get_function("nothing")

    def test_handle(self, cupy: Any, fails: Any) -> None:
        with fails("CUDA_ERROR_INVALID_HANDLE.* an unknown kernel"):
            cupy.cuda.driver.launchKernel(4096, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0)

    def test_text(self, cupy: Any, fails: Any) -> None:
        """A cubin that came past CuPy's compiler cannot be simulated."""
        lone = _load(cupy, cupy.cuda.Device().compute_capability).get_function("lone")
        with fails("CUDA_ERROR_LAUNCH_FAILED.* the text of lone is not known"):
            lone((1,), (1,), (cupy.zeros(1, "float32"),))

    def test_architecture(self, cupy: Any, fails: Any) -> None:
        with fails("NO_BINARY_FOR_GPU.* a cubin for sm_75 on sm_"):
            _load(cupy, "75")

    def test_function_of_the_runtime(self, cupy: Any, fails: Any, capfd: Any) -> None:
        with fails("cudaErrorNotSupported.* runtime.h has no cudaMallocManaged"):
            cupy.cuda.runtime.mallocManaged(512)
        assert "CuPy calls cudaMallocManaged" in capfd.readouterr().err


def _load(cupy: Any, architecture: str) -> Any:
    nvrtc = cupy.cuda.nvrtc
    program = nvrtc.createProgram(LONE, "lone.cu", (), ())
    nvrtc.compileProgram(program, (f"-arch=sm_{architecture}",))
    module = cupy.cuda.function.Module()
    module.load(nvrtc.getCUBIN(program) + b"\0")
    return module


class TestExecution:
    """What the simulator finds is an error of the launch."""

    def test_barrier(self, cupy: Any, kernel: Any, fails: Any) -> None:
        with fails("CUDA_ERROR_LAUNCH_FAILED.*block .* thread"):
            kernel("half_a_barrier")((1,), (32,), (cupy.zeros(32, "float32"),))

    def test_end_of_an_allocation(self, cupy: Any, kernel: Any, fails: Any) -> None:
        address = cupy.cuda.runtime.malloc(4096)
        far_away = kernel("far_away")
        far_away((1,), (1,), (np.uintp(address), np.int64(1023)))
        with fails("touches memory that is not its own"):
            far_away((1,), (1,), (np.uintp(address), np.int64(1024)))
        cupy.cuda.runtime.free(address)

    def test_freed_memory(self, cupy: Any, kernel: Any, fails: Any) -> None:
        address = cupy.cuda.runtime.malloc(512)
        cupy.cuda.runtime.free(address)
        with fails("touches memory that is not its own"):
            kernel("far_away")((1,), (1,), (np.uintp(address), np.int64(0)))
        with fails("cudaErrorInvalidValue.* is not the beginning of an allocation"):
            cupy.cuda.runtime.free(address)

    def test_fresh_memory_is_nan(self, cupy: Any) -> None:
        with cupy.cuda.using_allocator(None):
            assert np.isnan(cupy.empty(1000, "float32").get()).all()

    def test_too_large(self, cupy: Any, fails: Any) -> None:
        free, total = cupy.cuda.runtime.memGetInfo()
        with fails(f"cudaErrorMemoryAllocation: out of memory: {free + 1} bytes, .* of {total}"):
            cupy.cuda.runtime.malloc(free + 1)
