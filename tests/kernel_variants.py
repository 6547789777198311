"""Every variant of a kernel that is in use, found without running one.

The CUDA backend runs over a launcher that notes what it is asked to launch. Whole training steps
and evaluations of all models are run in this way, then primitives on shapes that take the other
paths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from calls import Calls

from gpucnn import backend as backends
from gpucnn import models
from gpucnn.backend.cuda.backend import CudaBackend
from gpucnn.backend.cuda.launcher import Dim3, Launcher
from gpucnn.backend.cuda.sources import Kernel
from gpucnn.backend.simulator import DeviceArray, SimulatorLauncher, xp
from gpucnn.backend.simulator.resources import digest
from gpucnn.bench import ceilings
from gpucnn.bench.convolutions import CONVOLUTIONS
from gpucnn.bench.stopwatch import Stopwatch
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer, evaluation

GPUS = (4, 46, 132)  # multiprocessors: of the simulator, of a small GPU and of an H200


class Variant(NamedTuple):
    """A kernel as it is compiled and launched."""

    source: str
    kernel: str
    constants: str  # "BM=64 BN=64"
    threads: int  # of a block
    shared: int  # bytes of dynamic shared memory
    text: str

    @property
    def digest(self) -> str:
        """Of what is compiled, whatever the launch is."""
        return digest(self.kernel, self.text)

    def __str__(self) -> str:
        return f"{self.kernel} {self.constants}"


class Recorder(SimulatorLauncher):
    """Compiles nothing and runs nothing; `variants` is what it was asked to launch.

    Args:
        multiprocessors: of the GPU that it plays.
        aligned: whether all arrays lie as a GPU allocates them, or none does.
    """

    def __init__(self, multiprocessors: int, aligned: bool = True) -> None:
        Launcher.__init__(self)  # the simulator's own asks for a C++ compiler
        self.multiprocessors = multiprocessors
        self.aligned = aligned
        self.variants: set[Variant] = set()

    def empty(self, shape: Any, dtype: Any) -> Any:
        # Not filled, so that large arrays cost nothing.
        return np.empty(shape, dtype).view(DeviceArray)

    def address(self, array: Any) -> int:
        return 0 if self.aligned else array.itemsize

    def _compile(self, kernel: Kernel) -> Any:
        return kernel

    def _run(
        self, handle: Any, grid: Dim3, block: Dim3, values: list[Any], shared: int = 0
    ) -> None:
        threads = math.prod(block)
        assert 0 < threads <= 1024, (handle.name, block)
        self.variants.add(
            Variant(handle.source, handle.name, handle.constants, threads, shared, handle.text)
        )


def in_use() -> list[Variant]:
    """All variants, in the order of their names."""
    variants = set()
    for multiprocessors in GPUS:
        recorder = Recorder(multiprocessors)
        with as_simulator(recorder) as backend, backend.quiet_device():
            _train_and_evaluate()
            for shape in CONVOLUTIONS:
                _convolution(backend, shape.x_shape, shape.w_shape, shape.stride, shape.padding)
            for recorder.aligned in (True, False):
                for dtype in ("float32", "float64"):
                    _primitives(backend, dtype)
                _uncommon(backend)
            recorder.algorithm = "shared"
            for dtype in ("float32", "float64"):
                _convolution(backend, (4, 32, 17, 17), (64, 32, 3, 3), dtype=dtype)
                _matrix_products(backend, dtype)
            recorder.algorithm = None
        out, step = recorder.empty((8,), "uint32"), recorder.empty((1,), "uint32")
        recorder.launch("philox", "philox_bits", 1, 256, out, out.size, 1, 2, step)
        watch = Stopwatch(CudaBackend("cuda:0", xp, recorder))
        for dtype in ("float32", "float64"):
            ceilings.fma_loop(watch, dtype)[0]()
        watch.hold(0.001)
        variants |= recorder.variants
    return sorted(variants)


def wide() -> list[Variant]:
    """The variants with 64-bit offsets that the models would use with arrays so large."""
    recorder = Recorder(max(GPUS))
    recorder.wide = True
    with as_simulator(recorder) as backend, backend.quiet_device():
        _train_and_evaluate()
        _primitives(backend, "float32")
        recorder.algorithm = "shared"
        _primitives(backend, "float32")
    return sorted(recorder.variants)


@contextmanager
def as_simulator(recorder: Recorder) -> Iterator[CudaBackend]:
    """Within it, the device `sim` is the recorder's."""
    backend = CudaBackend("sim", xp, recorder)
    with mock.patch.object(backends, "_sim", return_value=backend):
        yield backend


def _train_and_evaluate() -> None:
    """All models: a full batch and a short one, then an evaluation."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64 + 24, 1, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, len(images)).astype(np.int32)
    dataset = Dataset("noise", images, labels, 10)
    for name in models.NAMES:
        config = TrainConfig(model=name, device="sim", batch_size=64)
        trainer = Trainer(models.get(name, 10), Splits(dataset, test=dataset), config)
        for _ in range(trainer.steps_per_epoch):
            trainer.train_step()
        assert trainer.test is not None
        evaluation.evaluate_batches(trainer.model, trainer.test, config.loss)


def _primitives(backend: CudaBackend, dtype: str) -> None:
    """Every primitive once."""
    for call in Calls(backend.asarray, dtype=dtype).calls.values():
        call(backend)


def _convolution(
    backend: CudaBackend,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    dtype: str = "float32",
) -> None:
    """All three passes, with bias and ReLU and without."""
    empty = backend.launcher.empty
    x, w, b = empty(x_shape, dtype), empty(w_shape, dtype), empty(w_shape[:1], dtype)
    options: dict[str, Any] = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups
    }  # fmt: skip
    y = backend.conv2d_forward(x, w, b, activation="relu", **options)
    backend.conv2d_forward(x, w, **options)
    backend.conv2d_backward_input(y, w, x_shape, **options)
    backend.conv2d_backward_weight(y, x, w_shape, **options)


def _uncommon(backend: CudaBackend) -> None:
    """Launches that neither a model nor a benchmark asks for."""
    for dtype in ("float32", "float64"):
        for channels in (3, 32):  # few and many
            x, w = (4, channels, 33, 35), (48, channels, 3, 3)
            _convolution(backend, x, w, stride=3, padding=1, dtype=dtype)
            _convolution(backend, x, w, dilation=2, dtype=dtype)
            _convolution(backend, x, w, padding=((0, 1), (2, 1)), stride=(1, 2), dtype=dtype)
        for groups in (2, 32):
            _convolution(backend, (4, 32, 17, 17), (64, 32 // groups, 3, 3), groups=groups)
        empty = backend.launcher.empty
        x = empty((4, 6, 28, 28), dtype)
        for kernel, stride, padding in (
            (2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 0), (7, 7, 0), (20, 20, 0),
        ):  # fmt: skip
            options: dict[str, Any] = {"stride": stride, "padding": padding}
            y, argmax = backend.max_pool2d_forward(x, kernel, **options)
            backend.max_pool2d_backward(y, argmax, x.shape, kernel, **options)
            for counted in (True, False):
                y = backend.avg_pool2d_forward(x, kernel, count_include_pad=counted, **options)
                backend.avg_pool2d_backward(
                    y, x.shape, kernel, count_include_pad=counted, **options
                )
        _matrix_products(backend, dtype)
        for shape in ((64, 128), (64, 32, 24, 24)):
            x, channel = empty(shape, dtype), empty(shape[1:2], dtype)
            backend.bias_grad(x)
            backend.batch_norm_forward(x, channel, channel)
            backend.batch_norm_backward(x, x, channel, channel, channel)
        logits, labels = empty((64, 1000), dtype), empty((64,), "int32")
        backend.softmax_cross_entropy_forward(logits, labels)
        losses, totals = empty((64,), dtype), empty((2,), "float64")
        backend.accumulate_metrics(totals, losses, logits, labels)


def _matrix_products(backend: CudaBackend, dtype: str) -> None:
    """Products of several sizes, with and without transposes, bias and ReLU."""
    empty = backend.launcher.empty
    for M, N, K in ((1, 1, 1), (64, 10, 784), (64, 128, 9216), (1024, 1024, 1024)):
        for transpose_a in (False, True):
            for transpose_b in (False, True):
                a = empty((K, M) if transpose_a else (M, K), dtype)
                b = empty((N, K) if transpose_b else (K, N), dtype)
                transposes = {"transpose_a": transpose_a, "transpose_b": transpose_b}
                backend.matmul(a, b, **transposes)
                backend.matmul(a, b, bias=empty((N,), dtype), activation="relu", **transposes)
