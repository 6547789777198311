"""The primitives as launches of the kernels in kernels/, written once for GPU and simulator.

Convolution, matrix product and pooling have files of their own. A kernel knows no strides: what it
reads is made C-contiguous here, what it writes comes from `Launcher.empty`.
"""

from __future__ import annotations

import math
import numbers
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from gpucnn.backend.contract import Array, Backend, Scalar
from gpucnn.backend.cuda import convolution as cuda_convolution
from gpucnn.backend.cuda import dense as cuda_matmul
from gpucnn.backend.cuda import pooling as cuda_pooling
from gpucnn.backend.cuda.launcher import Launcher
from gpucnn.errors import DtypeError, ShapeError, UsageError
from gpucnn.random import keep_threshold
from gpucnn.shapes import Conv2dGeometry, Pool2dGeometry

_THREADS = 256  # of a block
_WARP = 32
_PACK = 4  # neighbouring elements of a thread in a pass over flat arrays
_BLOCKS = 8  # of a multiprocessor, so that a reduction fills it
_LEAST_WORK = 16  # elements a thread: below, a further part of a reduction costs more than it gains


class CudaBackend(Backend):
    """Arrays of one GPU, or of the simulator: float32 or float64, of any memory layout.

    Args:
        name: of the device: "cuda:0", "sim".
        xp: the array module: CuPy, or the simulator's.
        launcher: compiles and launches kernels on that device.
    """

    def __init__(self, name: str, xp: Any, launcher: Launcher) -> None:
        self.name = name
        self.xp = xp
        self.launcher = launcher

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        return self.launcher.asarray(array, dtype)

    def to_numpy(self, array: Array) -> Any:
        return self.launcher.to_numpy(array)

    def owns(self, array: Any) -> bool:
        return self.launcher.owns(array)

    def describe(self) -> dict[str, Any]:
        return self.launcher.describe()

    def quiet_device(self) -> AbstractContextManager[Any]:
        return self.launcher.quiet_device()

    # ---- convolution -----------------------------------------------------------------------

    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, g: Conv2dGeometry, activation: str | None
    ) -> Array:
        x, w, b = self._contiguous(x), self._contiguous(w), self._contiguous(b)
        return cuda_convolution.forward(self.launcher, x, w, b, g, activation)

    def _conv2d_backward_input(self, grad_y: Array, w: Array, g: Conv2dGeometry) -> Array:
        grad_y, w = self._contiguous(grad_y), self._contiguous(w)
        return cuda_convolution.backward_input(self.launcher, grad_y, w, g)

    def _conv2d_backward_weight(self, grad_y: Array, x: Array, g: Conv2dGeometry) -> Array:
        grad_y, x = self._contiguous(grad_y), self._contiguous(x)
        return cuda_convolution.backward_weight(self.launcher, grad_y, x, g)

    def _bias_grad(self, grad_y: Array) -> Array:
        r = self._reduction(grad_y)
        grad_b = self.launcher.empty((r.C,), grad_y.dtype)
        # One part is the sum itself.
        partial = self.launcher.empty((r.C, r.parts), grad_y.dtype) if r.parts > 1 else grad_b
        self._launch(
            "bias_grad", "bias_grad_partial", r.grid, self._contiguous(grad_y), partial, *r.sizes
        )
        if r.parts > 1:
            self._launch(
                "bias_grad", "bias_grad_sum", _grid(_WARP * r.C), partial, grad_b, r.C, r.parts
            )
        return grad_b

    # ---- pooling ---------------------------------------------------------------------------

    def _max_pool2d_forward(self, x: Array, g: Pool2dGeometry) -> tuple[Array, Array]:
        return cuda_pooling.max_forward(self.launcher, self._contiguous(x), g)

    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array:
        grad_y, argmax = self._contiguous(grad_y), self._contiguous(argmax)
        return cuda_pooling.max_backward(self.launcher, grad_y, argmax, g)

    def _avg_pool2d_forward(self, x: Array, g: Pool2dGeometry, count_include_pad: bool) -> Array:
        return cuda_pooling.avg_forward(self.launcher, self._contiguous(x), g, count_include_pad)

    def _avg_pool2d_backward(
        self, grad_y: Array, g: Pool2dGeometry, count_include_pad: bool
    ) -> Array:
        grad_y = self._contiguous(grad_y)
        return cuda_pooling.avg_backward(self.launcher, grad_y, g, count_include_pad)

    # ---- dense, activation, loss -----------------------------------------------------------

    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
        bias = self._contiguous(bias)
        with self.quiet_device():  # a copy of what has strides is made on this device
            return cuda_matmul.matmul(self.launcher, self.xp, a, b, bias, activation)

    def _relu_backward(self, grad_y: Array, y: Array) -> Array:
        grad_x = self.launcher.empty(y.shape, y.dtype)
        self._launch_flat(
            "relu", "relu_backward", y.size,
            self._contiguous(grad_y), self._contiguous(y), grad_x, y.size,
        )  # fmt: skip
        return grad_x

    def _softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        N, K = logits.shape
        losses = self.launcher.empty((N,), logits.dtype)
        probabilities = self.launcher.empty((N, K), logits.dtype)
        self._launch(
            "softmax_cross_entropy", "softmax_cross_entropy_forward", _grid(_WARP * N),
            self._contiguous(logits), self._int32(labels, K), losses, probabilities, N, K,
        )  # fmt: skip
        return losses, probabilities

    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        N, K = probabilities.shape
        grad_logits = self.launcher.empty((N, K), probabilities.dtype)
        self._launch(
            "softmax_cross_entropy", "softmax_cross_entropy_backward", _grid(N * K),
            self._contiguous(probabilities), self._int32(labels, K), self._contiguous(grad),
            grad_logits, N, K,
        )  # fmt: skip
        return grad_logits

    # ---- normalisation and dropout ---------------------------------------------------------

    def _batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        r, x = self._reduction(x), self._contiguous(x)
        y = self.launcher.empty(x.shape, x.dtype)
        mean, var = (self.launcher.empty((r.C,), x.dtype) for _ in range(2))
        partial = self.launcher.empty((3, r.C, r.parts), x.dtype)
        self._launch("batch_norm", "batch_norm_forward_partial", r.grid, x, partial, *r.sizes)
        self._launch(
            "batch_norm", "batch_norm_forward_channels", _grid(_WARP * r.C),
            partial, mean, var, r.C, r.parts,
        )  # fmt: skip
        self._launch_flat(
            "batch_norm", "batch_norm_forward_output", x.size,
            x, self._contiguous(gamma), self._contiguous(beta), mean, var, y,
            x.size, r.C, r.P, eps,
        )  # fmt: skip
        return y, mean, var

    def _batch_norm_backward(
        self, grad_y: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        r, grad_y, x = self._reduction(x), self._contiguous(grad_y), self._contiguous(x)
        gamma, mean, var = (self._contiguous(array) for array in (gamma, mean, var))
        grad_x = self.launcher.empty(x.shape, x.dtype)
        grad_gamma, grad_beta = (self.launcher.empty((r.C,), x.dtype) for _ in range(2))
        partial = self.launcher.empty((2, r.C, r.parts), x.dtype)
        self._launch(
            "batch_norm", "batch_norm_backward_partial", r.grid, grad_y, x, mean, partial, *r.sizes
        )
        self._launch(
            "batch_norm", "batch_norm_backward_channels", _grid(_WARP * r.C),
            partial, var, grad_gamma, grad_beta, r.C, r.parts, eps,
        )  # fmt: skip
        self._launch_flat(
            "batch_norm", "batch_norm_backward_output", x.size,
            grad_y, x, gamma, mean, var, grad_gamma, grad_beta, grad_x,
            x.size, r.C, r.P, r.N * r.P, eps,
        )  # fmt: skip
        return grad_x, grad_gamma, grad_beta

    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        y = self.launcher.empty(x.shape, x.dtype)
        mask = self.launcher.empty(x.shape, np.uint8)
        self._launch_flat(
            "dropout", "dropout_forward", x.size,
            self._contiguous(x), y, mask, x.size, *key, self._scalar("step", step, np.uint32),
            keep_threshold(rate), 1 / (1 - rate),
        )  # fmt: skip
        return y, mask

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        grad_x = self.launcher.empty(grad_y.shape, grad_y.dtype)
        self._launch_flat(
            "dropout", "dropout_backward", grad_y.size,
            self._contiguous(grad_y), self._contiguous(mask), grad_x, grad_y.size, 1 / (1 - rate),
        )  # fmt: skip
        return grad_x

    # ---- data and optimizers ---------------------------------------------------------------

    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array:
        M, *row = dataset.shape
        B, P = len(indices), math.prod(row)
        batch = self.launcher.empty((B, *row), np.float32)
        self._launch(
            "gather", "gather", _grid(B * -(-P // _PACK)),
            self._contiguous(dataset), self._int32(indices, M), batch, M, B, P, scale, offset,
        )  # fmt: skip
        return batch

    def _sgd_update(
        self,
        param: Array,
        grad: Array,
        velocity: Array | None,
        learning_rate: Scalar,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        found_inf: Scalar | None,
    ) -> None:
        self._launch_flat(
            "optimizer", "sgd_update", param.size,
            param, self._contiguous(grad), velocity if momentum else None, param.size,
            self._scalar("learning_rate", learning_rate, np.float32), momentum, nesterov,
            weight_decay, self._found_inf(found_inf),
        )  # fmt: skip

    def _rmsprop_update(
        self,
        param: Array,
        grad: Array,
        square_avg: Array,
        learning_rate: Scalar,
        rho: float,
        eps: float,
        weight_decay: float,
        found_inf: Scalar | None,
    ) -> None:
        self._launch_flat(
            "optimizer", "rmsprop_update", param.size,
            param, self._contiguous(grad), square_avg, param.size,
            self._scalar("learning_rate", learning_rate, np.float32), rho, 1 - rho, eps,
            weight_decay, self._found_inf(found_inf),
        )  # fmt: skip

    def _adam_update(
        self,
        param: Array,
        grad: Array,
        m: Array,
        v: Array,
        learning_rate: Scalar,
        step: Scalar,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled: bool,
        found_inf: Scalar | None,
    ) -> None:
        steps = self._scalar("step", step, np.uint32)
        # A step on the device is not looked at: that would make the host wait.
        if not self.owns(step) and step < 1:
            raise UsageError(
                f"Adam's step is {step:g}", cause="it is counted from 1", fix="pass step=1"
            )
        rates = ((beta, 1 - beta, math.log(beta) if beta > 0 else -math.inf) for beta in betas)
        beta1, beta2 = rates
        self._launch_flat(
            "optimizer", "adam_update", param.size,
            param, self._contiguous(grad), m, v, param.size,
            self._scalar("learning_rate", learning_rate, np.float32), steps,
            *beta1, *beta2, eps, weight_decay, decoupled, self._found_inf(found_inf),
        )  # fmt: skip

    # ---- arguments of kernels --------------------------------------------------------------

    def _launch(self, source: str, kernel: str, grid: int | tuple[int, ...], *args: Any) -> None:
        self.launcher.launch(source, kernel, grid, _THREADS, *args)

    def _launch_flat(self, source: str, kernel: str, n: int, *args: Any) -> None:
        """One thread for each pack of n elements."""
        self._launch(source, kernel, _grid(-(-n // _PACK)), *args)

    def _contiguous(self, array: Array | None) -> Any:
        """The array with the strides that a kernel expects; a copy only where they differ."""
        if array is None or array.flags.c_contiguous:
            return array
        with self.quiet_device():
            return self.xp.ascontiguousarray(array)

    def _int32(self, indices: Array, size: int) -> Array:
        """Indices as int32; those outside [0, size) stay outside, whatever their type."""
        if indices.dtype != np.int32:
            with self.quiet_device():
                valid = (indices >= 0) & (indices < size)
                indices = self.xp.where(valid, indices.astype(np.int32), np.int32(-1))
        return self._contiguous(indices)

    def _found_inf(self, found_inf: Scalar | None) -> Array | None:
        return None if found_inf is None else self._scalar("found_inf", found_inf, np.uint32)

    def _scalar(self, name: str, value: Scalar, dtype: Any) -> Array:
        """A number as an array (1,) of this device; such an array as it is.

        Checked to be there and to have an element, as the kernel reads it either way.
        """
        if not self.owns(value):
            is_number = isinstance(value, (numbers.Real, np.bool))
            if not is_number:
                raise DtypeError(
                    f"{name} is a {type(value).__module__}.{type(value).__name__}",
                    cause=f"it must be a number, or an array (1,) of {self.name}",
                    fix=f"pass {name} as a number",
                )
            if dtype is np.uint32 and not (0 <= value < 2**32 and value == int(value)):
                raise UsageError(
                    f"{name} is {value}",
                    cause="a kernel takes it as an integer of 32 bits",
                    fix="count from 0 or 1",
                )
            return self.asarray(np.array([value], dtype))
        if value.size != 1:
            raise ShapeError(
                f"{name} has shape {value.shape}", cause="it is one number", fix="pass (1,)"
            )
        if value.dtype != dtype:
            with self.quiet_device():
                value = value.astype(dtype)
        return self._contiguous(value)

    def _reduction(self, x: Array) -> _Reduction:
        N, C = x.shape[:2]
        P = math.prod(x.shape[2:])
        if N * P == 0:
            N, P = 0, 1  # a sum of nothing is zero, however it is empty
        lanes = _WARP if P == 1 else 1
        blocks = max(1, -(-C // lanes))
        most = N * P * lanes // (_LEAST_WORK * _THREADS)
        parts = min(-(-_BLOCKS * self.launcher.multiprocessors // blocks), most)
        return _Reduction(N, C, P, lanes, max(1, parts))


class _Reduction(NamedTuple):
    """How the sum over (N, C, P) by channel is cut up; see kernels/channels.cuh."""

    N: int
    C: int
    P: int
    lanes: int  # channels of a block
    parts: int  # blocks that share a channel

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.C // self.lanes), self.parts

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.P, self.lanes


def _grid(threads: int) -> int:
    return -(-threads // _THREADS)
