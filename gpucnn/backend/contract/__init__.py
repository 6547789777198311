"""The contract that every backend keeps: the primitives, their shapes, dtypes and rules.

A public method here checks its arguments, so that an error reads the same on every device, and
hands over to the method of the same name with an underscore, which a backend implements.

For all of them:

- activations are (N, C, H, W), convolution weights (F, C/groups, KH, KW), dense weights (in, out);
- float32, or float64 where the backend has it; one floating dtype a call, and the result has it;
- an empty batch (N = 0) is legal;
- inputs may have any strides; results are C-contiguous and share no memory with an input;
- results are deterministic: every output element has one owner, and a sum over the batch is taken
  in a fixed order that does not depend on the number of threads;
- inf and NaN propagate silently, as on a GPU (an infinity perhaps as a NaN): training looks for
  them.

`stride`, `dilation` and `kernel` are an int or (h, w); `padding` is an int, (h, w),
((top, bottom), (left, right)), "same" or "valid" (`gpucnn.shapes`). `activation` is None or "relu".
Shapes that do not fit raise `ShapeError`, dtypes that do not fit `DtypeError`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from gpucnn.errors import DataError, DtypeError, ShapeError, UsageError
from gpucnn.shapes import (
    Conv2dGeometry,
    PaddingArg,
    PairArg,
    Pool2dGeometry,
    conv2d_geometry,
    is_same,
    pool2d_geometry,
)
from gpucnn.spelling import Spellings, explained

Array = Any  # a NumPy or CuPy ndarray
PoolArg = tuple[PairArg, PairArg | None, PaddingArg]  # kernel, stride (None: the kernel), padding
_FLOATS = "<f4", "<f8"  # one of them in a call; "<": native, which byte-swapped arrays are not

#: A decorator for the functions built on the primitives: arguments of other libraries, and ours.
names_of_windows = explained(
    Spellings(
        renamed={
            "bias": ("b",),
            "dilation_rate": ("dilation",),
            "dilations": ("dilation",),
            "dim": ("axis",),
            "input": ("x",),
            "kernel_size": ("kernel",),
            "pool_size": ("kernel",),
            "strides": ("stride",),
            "weight": ("w",),
        },
        instead={
            "ceil_mode": 'padding="same" rounds the output size up',
            "data_format": "arrays are (N, C, H, W): pass x.transpose(0, 3, 1, 2)",
        },
    )
)

Scalar = Any  # a number, or a device array (1,) whose value changes from step to step


class Backend(ABC):
    """Primitives on one device. Get one with `gpucnn.backend.get` or `gpucnn.backend.of`.

    Attributes:
        name: "cpu", "cuda:0", "sim".
        xp: the array module (NumPy, CuPy) for all that is not a primitive.
    """

    name: str
    xp: Any

    # ---- arrays ----------------------------------------------------------------------------

    @abstractmethod
    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """An array of this device from a NumPy array (or what NumPy makes one of)."""

    @abstractmethod
    def to_numpy(self, array: Array) -> Any:
        """A NumPy array with the values of an array of this device."""

    @abstractmethod
    def owns(self, array: Any) -> bool:
        """Whether `array` lies on this device."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the bits of a result depend on: device, versions, BLAS core type, threads."""

    def preparation(self) -> str | None:
        """What the first calls will take seconds for, as a line for the user; None if nothing."""
        return None

    @abstractmethod
    def quiet_device(self) -> AbstractContextManager[Any]:
        """A context for a stretch of computation, in which inf and NaN arise without a warning."""

    # ---- convolution -----------------------------------------------------------------------

    def conv2d_forward(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
        activation: str | None = None,
    ) -> Array:
        """Cross-correlation of x with w, plus bias, then the activation.

            y[n,f,oh,ow] = b[f] + sum_{c,kh,kw} x[n, c0+c, oh*s+kh*d-p, ow*s+kw*d-p] * w[f,c,kh,kw]

        where c0 is the first channel of f's group and pixels in the padding are 0.

        Args:
            x: (N, C, H, W).
            w: (F, C/groups, KH, KW).
            b: (F,) or None.
            stride: pixels from one window to the next; an int or (h, w).
            padding: zeros around the image: an int, (h, w), ((top, bottom), (left, right)), "valid"
                for none, or "same" for OH = ceil(H / stride), the odd one at the bottom and right.
            dilation: pixels from one tap of the kernel to the next; an int or (h, w).
            groups: channels and filters are split into so many parts; a filter takes the channels
                of its own part only.
            activation: None, or "relu" for max(y, 0).

        Returns:
            y: (N, F, OH, OW), sizes by `gpucnn.shapes.conv_output_size`.

        Raises:
            ShapeError: the shapes and options do not fit together.
            DtypeError: the arrays are not all float32, or all float64.
        """
        self._check_floats(x=x, w=w, b=b)
        _check_activation(activation)
        geometry = conv2d_geometry(x.shape, w.shape, stride, padding, dilation, groups)
        if b is not None:
            _check_shape("bias", b, (geometry.F,))
        return self._conv2d_forward(x, w, b, geometry, activation)

    def conv2d_backward_input(
        self,
        grad_y: Array,
        w: Array,
        x_shape: Sequence[int],
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
    ) -> Array:
        """Gradient of the loss by the input of a convolution: the adjoint of x -> conv(x, w).

            grad_x[n,c,h,w] = sum over the f, kh, kw, oh, ow with h = oh*s+kh*d-p, w = ow*s+kw*d-p
                              of grad_y[n,f,oh,ow] * w[f,c-c0,kh,kw]

        Args:
            grad_y: (N, F, OH, OW).
            w: (F, C/groups, KH, KW).
            x_shape: (N, C, H, W) of the input, which stride leaves open.
            stride, padding, dilation, groups: as in `conv2d_forward`, where they are explained.

        Returns:
            grad_x: (N, C, H, W).
        """
        self._check_floats(grad_y=grad_y, w=w)
        geometry = conv2d_geometry(x_shape, w.shape, stride, padding, dilation, groups)
        _check_shape("grad_y", grad_y, geometry.y_shape)
        return self._conv2d_backward_input(grad_y, w, geometry)

    def conv2d_backward_weight(
        self,
        grad_y: Array,
        x: Array,
        w_shape: Sequence[int],
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
    ) -> Array:
        """Gradient of the loss by the weight of a convolution: the adjoint of w -> conv(x, w).

            grad_w[f,c,kh,kw] = sum_{n,oh,ow} grad_y[n,f,oh,ow]
                                              * x[n, c0+c, oh*s+kh*d-p, ow*s+kw*d-p]

        Args:
            grad_y: (N, F, OH, OW).
            x: (N, C, H, W).
            w_shape: (F, C/groups, KH, KW) of the weight.
            stride, padding, dilation, groups: as in `conv2d_forward`, where they are explained.

        Returns:
            grad_w: (F, C/groups, KH, KW).
        """
        self._check_floats(grad_y=grad_y, x=x)
        geometry = conv2d_geometry(x.shape, w_shape, stride, padding, dilation, groups)
        _check_shape("grad_y", grad_y, geometry.y_shape)
        return self._conv2d_backward_weight(grad_y, x, geometry)

    def bias_grad(self, grad_y: Array) -> Array:
        """Sum over all axes but the channels: grad_b[f] = sum_{n,...} grad_y[n,f,...].

        Args:
            grad_y: (N, F) or (N, F, ...).

        Returns:
            grad_b: (F,).
        """
        self._check_floats(grad_y=grad_y)
        _check_channels("grad_y", grad_y)
        return self._bias_grad(grad_y)

    def conv2d_relu_pool_forward(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
        activation: str | None = None,
        pool: PoolArg | None = None,
    ) -> tuple[Array, Array | None]:
        """`conv2d_forward` and, with `pool`, `max_pool2d_forward` of its result, which is not kept.

        Args:
            x: (N, C, H, W).
            w: (F, C/groups, KH, KW).
            b: (F,) or None.
            stride, padding, dilation, groups, activation: as in `conv2d_forward`, where they are
                explained.
            pool: (kernel, stride, padding) of the maximum, or None.

        Returns:
            y: (N, F, OH, OW), or what the pool makes of that; and argmax of the shape of y, or
            None without a pool: both for `conv2d_relu_pool_backward`.
        """
        self._check_floats(x=x, w=w, b=b)
        _check_activation(activation)
        geometry = conv2d_geometry(x.shape, w.shape, stride, padding, dilation, groups)
        if b is not None:
            _check_shape("bias", b, (geometry.F,))
        pooling = _pooling(geometry, pool)
        return self._conv2d_relu_pool_forward(x, w, b, geometry, activation, pooling)

    def conv2d_relu_pool_backward(
        self,
        grad_y: Array,
        x: Array,
        w: Array,
        y: Array | None = None,
        argmax: Array | None = None,
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
        pool: PoolArg | None = None,
        needs: tuple[bool, bool, bool] = (True, True, True),
    ) -> tuple[Array | None, Array | None, Array | None]:
        """All gradients of `conv2d_relu_pool_forward`.

        A pixel that is the maximum of a window has the window's value, so the ReLU's gradient is
        the same before the pool and after it, where there is less of it.

        Args:
            grad_y: of the shape of y.
            x, w: as they were.
            y: the result, if it went through a ReLU.
            argmax: as it was returned, if there is a pool; without one it is not looked at.
            stride, padding, dilation, groups, pool: as they were.
            needs: which of the three are wanted.

        Returns:
            grad_x (N, C, H, W), grad_w (F, C/groups, KH, KW) and grad_b (F,); None for those that
            are not wanted.
        """
        self._check_floats(grad_y=grad_y, x=x, w=w, y=y)
        geometry = conv2d_geometry(x.shape, w.shape, stride, padding, dilation, groups)
        pooling = _pooling(geometry, pool)
        y_shape = geometry.y_shape if pooling is None else pooling.y_shape
        _check_shape("grad_y", grad_y, y_shape)
        if y is not None:
            _check_shape("y", y, y_shape)
        if pooling is None:
            argmax = None
        elif argmax is None:
            raise DtypeError(
                "argmax is None",
                cause="there is a pool, and its gradient goes to the pixels that argmax names",
                fix="pass what conv2d_relu_pool_forward returned beside y",
            )
        else:
            self._check_integers(argmax=argmax)
            _check_shape("argmax", argmax, y_shape)
        if len(needs) != 3:
            raise UsageError(
                f"needs is {needs!r}",
                cause="it says of grad_x, grad_w and grad_b whether they are wanted",
                fix="give needs=(True, True, True)",
            )
        return self._conv2d_relu_pool_backward(grad_y, x, w, y, argmax, geometry, pooling, needs)

    # ---- pooling ---------------------------------------------------------------------------

    def max_pool2d_forward(
        self,
        x: Array,
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
    ) -> tuple[Array, Array]:
        """Maximum of each window: y[n,c,oh,ow] = max_{kh,kw} x[n,c,oh*s+kh-p,ow*s+kw-p].

        Padding counts as -inf. The first maximum in row-major order wins a tie. A NaN counts as
        greater than all, so it propagates.

        Args:
            x: (N, C, H, W).
            kernel: pixels of the window, an int or (h, w).
            stride: pixels from one window to the next; None for the kernel, so that they touch.
            padding: around the image: an int, (h, w), ((top, bottom), (left, right)), "valid" for
                none, or "same" for OH = ceil(H / stride). It must be smaller than the kernel.

        Returns:
            y: (N, C, OH, OW), and argmax: an opaque array for `max_pool2d_backward`.
        """
        self._check_floats(x=x)
        return self._max_pool2d_forward(x, pool2d_geometry(x.shape, kernel, stride, padding))

    def max_pool2d_backward(
        self,
        grad_y: Array,
        argmax: Array,
        x_shape: Sequence[int],
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
    ) -> Array:
        """Each output's gradient goes to the input pixel that was its maximum.

        Args:
            grad_y: (N, C, OH, OW).
            argmax: what `max_pool2d_forward` returned.
            x_shape: (N, C, H, W) of the input.
            kernel, stride, padding: as in `max_pool2d_forward`.

        Returns:
            grad_x: (N, C, H, W).
        """
        self._check_floats(grad_y=grad_y)
        self._check_integers(argmax=argmax)
        geometry = pool2d_geometry(x_shape, kernel, stride, padding)
        _check_shape("grad_y", grad_y, geometry.y_shape)
        _check_shape("argmax", argmax, geometry.y_shape)
        return self._max_pool2d_backward(grad_y, argmax, geometry)

    def avg_pool2d_forward(
        self,
        x: Array,
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
        count_include_pad: bool | None = None,
    ) -> Array:
        """Mean of each window: y[n,c,oh,ow] = sum_{kh,kw} x[n,c,oh*s+kh-p,ow*s+kw-p] / count.

        `count` is KH*KW, or without the padding the window's pixels inside the image.

        Args:
            x: (N, C, H, W).
            kernel, stride, padding: as in `max_pool2d_forward`.
            count_include_pad: whether the padding counts, as zeros. None: not with padding="same",
                as in Keras, TensorFlow and ONNX; otherwise yes, as in PyTorch.

        Returns:
            y: (N, C, OH, OW).
        """
        self._check_floats(x=x)
        geometry = pool2d_geometry(x.shape, kernel, stride, padding)
        counted = _counts_padding(padding, count_include_pad)
        return self._avg_pool2d_forward(x, geometry, counted)

    def avg_pool2d_backward(
        self,
        grad_y: Array,
        x_shape: Sequence[int],
        kernel: PairArg,
        *,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
        count_include_pad: bool | None = None,
    ) -> Array:
        """Each output's gradient is shared out evenly over the pixels that its window counted.

        Args:
            grad_y: (N, C, OH, OW).
            x_shape: (N, C, H, W) of the input.
            kernel, stride, padding, count_include_pad: as in `avg_pool2d_forward`.

        Returns:
            grad_x: (N, C, H, W).
        """
        self._check_floats(grad_y=grad_y)
        geometry = pool2d_geometry(x_shape, kernel, stride, padding)
        _check_shape("grad_y", grad_y, geometry.y_shape)
        counted = _counts_padding(padding, count_include_pad)
        return self._avg_pool2d_backward(grad_y, geometry, counted)

    # ---- dense, activation, loss -----------------------------------------------------------

    def matmul(
        self,
        a: Array,
        b: Array,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        bias: Array | None = None,
        activation: str | None = None,
    ) -> Array:
        """c = activation(op(a) @ op(b) + bias), where op transposes if asked to.

        Args:
            a: (M, K), or (K, M) with transpose_a.
            b: (K, N), or (N, K) with transpose_b.
            bias: (N,) or None, added to every row.
            activation: None, or "relu" for max(c, 0).

        Returns:
            c: (M, N).
        """
        self._check_floats(a=a, b=b, bias=bias)
        _check_activation(activation)
        if a.ndim != 2 or b.ndim != 2:
            raise ShapeError(
                f"matmul of {a.shape} and {b.shape}",
                cause="both must be matrices",
                fix="flatten images to (N, C*H*W) first, or reshape",
            )
        rows, inner_a = a.shape[::-1] if transpose_a else a.shape
        inner_b, columns = b.shape[::-1] if transpose_b else b.shape
        if inner_a != inner_b:
            raise ShapeError(
                f"matmul of {(rows, inner_a)} and {(inner_b, columns)}",
                cause=f"the inner sizes differ: {inner_a} and {inner_b}",
                fix=f"give a second matrix with {inner_a} rows, or an input of {inner_b} features",
            )
        if bias is not None:
            _check_shape("bias", bias, (columns,))
        return self._matmul(a.T if transpose_a else a, b.T if transpose_b else b, bias, activation)

    def relu_backward(self, grad_y: Array, y: Array) -> Array:
        """grad_x = grad_y where y > 0, else 0. `y` is the output of the ReLU, of any shape."""
        self._check_floats(grad_y=grad_y, y=y)
        _check_shape("grad_y", grad_y, y.shape)
        return self._relu_backward(grad_y, y)

    def softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """losses[n] = log(sum_k exp(logits[n,k])) - logits[n, labels[n]], and the softmax.

        Stable for logits of any size, as each row's maximum is subtracted first.

        Args:
            logits: (N, K).
            labels: integer class ids (N,). One outside [0, K) gives a loss of NaN.

        Returns:
            losses: (N,), and probabilities: (N, K).
        """
        self._check_floats(logits=logits)
        self._check_labels(logits, labels)
        return self._softmax_cross_entropy_forward(logits, labels)

    def softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        """grad_logits[n,k] = (probabilities[n,k] - [k = labels[n]]) * grad[n].

        Args:
            probabilities: (N, K), of the forward call.
            labels: integer class ids (N,). One outside [0, K) gives a row of NaN.
            grad: (N,), the gradient of the loss by each of `losses`.

        Returns:
            grad_logits: (N, K).
        """
        self._check_floats(probabilities=probabilities, grad=grad)
        self._check_labels(probabilities, labels)
        _check_shape("grad", grad, (probabilities.shape[0],))
        return self._softmax_cross_entropy_backward(probabilities, labels, grad)

    # ---- normalisation and dropout ---------------------------------------------------------

    def batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5
    ) -> tuple[Array, Array, Array]:
        """y = gamma * (x - mean) / sqrt(var + eps) + beta, by channel (Ioffe and Szegedy 2015).

        Args:
            x: (N, C) or (N, C, ...), with at least one element a channel.
            gamma, beta: (C,).
            eps: added to the variance.

        Returns:
            y: shape of x; mean: (C,); var: (C,), biased (divided by the count).
        """
        self._check_floats(x=x, gamma=gamma, beta=beta)
        self._check_batch_norm(x, gamma=gamma, beta=beta)
        return self._batch_norm_forward(x, gamma, beta, eps)

    def batch_norm_backward(
        self,
        grad_y: Array,
        x: Array,
        gamma: Array,
        mean: Array,
        var: Array,
        *,
        eps: float = 1e-5,
    ) -> tuple[Array, Array, Array]:
        """Gradients of batch norm: xhat = (x - mean) / sqrt(var + eps), M elements a channel.

            grad_beta  = sum grad_y
            grad_gamma = sum grad_y * xhat
            grad_x     = gamma / sqrt(var + eps) * (grad_y - grad_beta / M - xhat * grad_gamma / M)

        Args:
            grad_y: shape of x.
            x, gamma: as they were.
            mean, var: (C,), which the forward call returned.
            eps: as it was.

        Returns:
            grad_x: shape of x; grad_gamma: (C,); grad_beta: (C,).
        """
        self._check_floats(grad_y=grad_y, x=x, gamma=gamma, mean=mean, var=var)
        self._check_batch_norm(x, gamma=gamma, mean=mean, var=var)
        _check_shape("grad_y", grad_y, x.shape)
        return self._batch_norm_backward(grad_y, x, gamma, mean, var, eps)

    def dropout_forward(
        self, x: Array, rate: float, *, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        """y = x * mask / (1 - rate), the mask by `gpucnn.random.dropout_mask` (inverted dropout).

        Args:
            x: any shape.
            rate: the share of elements set to zero, in [0, 1).
            key: of the stream, `gpucnn.random.stream_key`.
            step: an int, or a uint32 array (1,) of this device.

        Returns:
            y: shape of x, and mask: uint8, shape of x, 1 where kept.
        """
        self._check_floats(x=x)
        _check_rate(rate)
        if not hasattr(key, "__len__") or len(key) != 2:
            raise UsageError(
                f"the key of a dropout is {key!r}",
                cause="it is a pair of integers, of a random stream",
                fix='give gpucnn.random.stream_key(seed, "dropout")',
            )
        return self._dropout_forward(x, rate, key, step)

    def dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        """grad_x = grad_y * mask / (1 - rate), with the mask of `dropout_forward`."""
        self._check_floats(grad_y=grad_y)
        self._check_owned(mask=mask)
        if mask.dtype != self.xp.uint8:
            raise DtypeError(
                f"the dropout mask is {mask.dtype}",
                cause="it must be the uint8 mask of zeros and ones that dropout_forward returns",
                fix="pass that mask on as it is",
            )
        _check_rate(rate)
        _check_shape("mask", mask, grad_y.shape)
        return self._dropout_backward(grad_y, mask, rate)

    # ---- data and optimizers ---------------------------------------------------------------

    def gather(
        self, dataset: Array, indices: Array, *, scale: float = 1.0, offset: float = 0.0
    ) -> Array:
        """A batch of a uint8 data set as floats: out[i] = dataset[indices[i]] * scale + offset.

        Args:
            dataset: uint8 (M, ...).
            indices: integers (B,) in [0, M); one outside gives a row of NaN.

        Returns:
            float32 (B, ...).
        """
        self._check_owned(dataset=dataset)
        self._check_integers(indices=indices)
        if dataset.dtype != self.xp.uint8:
            raise DtypeError(
                f"gather from {dataset.dtype}",
                cause="the data set must be uint8",
                fix="keep pixels as uint8 until they are gathered",
            )
        if indices.ndim != 1:
            raise ShapeError(
                f"gather by indices of shape {tuple(indices.shape)}",
                cause="they must be (B,)",
                fix="flatten them",
            )
        return self._gather(dataset, indices, scale, offset)

    def sgd_update(
        self,
        param: Array,
        grad: Array,
        velocity: Array | None,
        *,
        learning_rate: Scalar,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        found_inf: Scalar | None = None,
    ) -> None:
        """One step of stochastic gradient descent, in place (Sutskever et al. 2013).

            g = grad + weight_decay * param
            velocity = momentum * velocity + g
            param = param - learning_rate * (g + momentum * velocity if nesterov else velocity)

        Args:
            param: any shape, contiguous, changed in place.
            grad: shape of param.
            velocity: shape of param, changed in place; None without momentum.
            learning_rate: a float32 array (1,) of this device, or a number.
            found_inf: uint32 array (1,) of this device; not zero makes the call do nothing.
        """
        self._check_update(param, grad, velocity=velocity)
        if momentum and velocity is None:
            raise UsageError("momentum without a velocity", fix="pass an array of zeros at first")
        self._sgd_update(
            param, grad, velocity, learning_rate, momentum, nesterov, weight_decay, found_inf
        )

    def rmsprop_update(
        self,
        param: Array,
        grad: Array,
        square_avg: Array,
        *,
        learning_rate: Scalar,
        rho: float = 0.9,
        eps: float = 1e-7,
        weight_decay: float = 0.0,
        found_inf: Scalar | None = None,
    ) -> None:
        """One step of RMSprop, in place (Tieleman and Hinton 2012). Arguments as in `sgd_update`.

        g = grad + weight_decay * param
        square_avg = rho * square_avg + (1 - rho) * g**2
        param = param - learning_rate * g / (sqrt(square_avg) + eps)
        """
        self._check_update(param, grad, square_avg=square_avg)
        self._rmsprop_update(
            param, grad, square_avg, learning_rate, rho, eps, weight_decay, found_inf
        )

    def adam_update(
        self,
        param: Array,
        grad: Array,
        m: Array,
        v: Array,
        *,
        learning_rate: Scalar,
        step: Scalar,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        found_inf: Scalar | None = None,
    ) -> None:
        """One step of Adam (Kingma and Ba 2015) in place; decoupled=True is AdamW.

            g = grad + weight_decay * param      decoupled: param *= 1 - learning_rate*weight_decay
            m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g**2
            param -= learning_rate * (m / (1 - beta1**step)) / (sqrt(v / (1 - beta2**step)) + eps)

        Args:
            step: counted from 1; a uint32 array (1,) of this device, or a number.

        The other arguments are as in `sgd_update`. AdamW: Loshchilov and Hutter 2019.
        """
        self._check_update(param, grad, m=m, v=v)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= beta < 1:
                raise UsageError(
                    f"{name} is {beta}",
                    cause="it is the weight of the past: at least 0 and below 1",
                    fix="give beta1=0.9 and beta2=0.999",
                )
        self._adam_update(
            param,
            grad,
            m,
            v,
            learning_rate,
            step,
            (beta1, beta2),
            eps,
            weight_decay,
            decoupled,
            found_inf,
        )

    # ---- checks ----------------------------------------------------------------------------

    def _check_owned(self, **arrays: Array | None) -> None:
        for name, array in arrays.items():
            if array is not None and not self.owns(array):
                raise DtypeError(
                    f"{name} is a {type(array).__module__}.{type(array).__name__}",
                    cause=f"the backend {self.name} computes on its own arrays only",
                    fix=f'convert it first: gpucnn.backend.get("{self.name}").asarray({name})',
                )

    def _check_floats(self, **arrays: Array | None) -> None:
        dtype = None
        for array in arrays.values():
            if array is None:
                continue
            if not self.owns(array) or (dtype is not None and array.dtype != dtype):
                break
            dtype = array.dtype
        else:
            if dtype is not None and dtype.str in _FLOATS:
                return
        self._check_owned(**arrays)
        dtypes = {name: array.dtype for name, array in arrays.items() if array is not None}
        (name, first), *others = dtypes.items()
        weights = {dtype for _, dtype in others if dtype.str in _FLOATS}
        if name in ("x", "a") and len(weights) == 1:
            check_input(first, weights.pop())
        raise DtypeError(
            "dtypes do not fit: " + ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items()),
            cause="all must be float32, or all float64",
            fix="convert with .astype(numpy.float32)",
        )

    def _check_integers(self, **arrays: Array) -> None:
        self._check_owned(**arrays)
        for name, array in arrays.items():
            if array.dtype.kind not in "iu":
                raise DtypeError(
                    f"{name} is {array.dtype}",
                    cause="it must hold integers",
                    fix="convert with .astype(numpy.int32)",
                )

    def _check_labels(self, logits: Array, labels: Array) -> None:
        self._check_owned(labels=labels)
        if logits.ndim != 2:
            raise ShapeError(
                f"logits have shape {logits.shape}",
                cause="they must be (N, K): one score for each class",
                fix="flatten before the last dense layer",
            )
        if labels.dtype.kind not in "iu":
            raise DtypeError(
                f"labels are {labels.dtype}",
                cause="class ids are integers",
                fix="number the names: numpy.unique(labels, return_inverse=True)[1]"
                if labels.dtype.kind in "SUO"
                else "convert with .astype(numpy.int32), or pass one-hot targets to "
                "gpucnn.functions.softmax_cross_entropy",
            )
        if labels.shape != logits.shape[:1]:
            fixes = {
                (logits.shape[0], 1): "a column of class ids: pass labels[:, 0]",
                logits.shape: "one-hot rows: pass labels.argmax(axis=1)",
            }
            raise ShapeError(
                f"labels have shape {labels.shape}, logits {logits.shape}",
                cause="each row of the logits needs one class id",
                fix=fixes.get(labels.shape, f"pass labels of shape {logits.shape[:1]}"),
            )

    def _check_batch_norm(self, x: Array, **per_channel: Array) -> None:
        _check_channels("x", x)
        for name, array in per_channel.items():
            _check_shape(name, array, (x.shape[1],))
        if math.prod(x.shape) == 0:
            raise ShapeError(
                f"batch norm of an input of shape {x.shape}",
                cause="the mean of no elements is undefined",
                fix="give at least one image, or use the running statistics (evaluation mode)",
            )

    def _check_update(self, param: Array, grad: Array, **slots: Array | None) -> None:
        self._check_floats(param=param, grad=grad, **slots)
        for name, array in {"grad": grad, **slots}.items():
            if array is not None:
                _check_shape(name, array, param.shape)
        for name, array in {"param": param, **slots}.items():
            if array is None:
                continue
            if not getattr(array.flags, "writeable", True):  # CuPy's arrays always are
                raise UsageError(
                    f"{name} is read-only",
                    cause="an update works in place",
                    fix="make it of an array that can be written to, such as array.copy()",
                )
            if not array.flags.c_contiguous:
                raise ShapeError(
                    f"{name} is not C-contiguous",
                    cause="an update in place works on the memory of the array itself",
                    fix="keep parameters as numpy.ascontiguousarray gives them",
                )

    # ---- what a backend implements ---------------------------------------------------------

    @abstractmethod
    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, g: Conv2dGeometry, activation: str | None
    ) -> Array: ...

    @abstractmethod
    def _conv2d_backward_input(self, grad_y: Array, w: Array, g: Conv2dGeometry) -> Array: ...

    @abstractmethod
    def _conv2d_backward_weight(self, grad_y: Array, x: Array, g: Conv2dGeometry) -> Array: ...

    @abstractmethod
    def _bias_grad(self, grad_y: Array) -> Array: ...

    # Not abstract: a backend that can do a block at once replaces these two.
    def _conv2d_relu_pool_forward(
        self,
        x: Array,
        w: Array,
        b: Array | None,
        g: Conv2dGeometry,
        activation: str | None,
        pool: Pool2dGeometry | None,
    ) -> tuple[Array, Array | None]:
        y = self._conv2d_forward(x, w, b, g, activation)
        return (y, None) if pool is None else self._max_pool2d_forward(y, pool)

    def _conv2d_relu_pool_backward(
        self,
        grad_y: Array,
        x: Array,
        w: Array,
        y: Array | None,
        argmax: Array | None,
        g: Conv2dGeometry,
        pool: Pool2dGeometry | None,
        needs: tuple[bool, bool, bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        if y is not None:
            grad_y = self._relu_backward(grad_y, y)
        if pool is not None:
            grad_y = self._max_pool2d_backward(grad_y, argmax, pool)
        need_x, need_w, need_b = needs
        return (
            self._conv2d_backward_input(grad_y, w, g) if need_x else None,
            self._conv2d_backward_weight(grad_y, x, g) if need_w else None,
            self._bias_grad(grad_y) if need_b else None,
        )

    @abstractmethod
    def _max_pool2d_forward(self, x: Array, g: Pool2dGeometry) -> tuple[Array, Array]: ...

    @abstractmethod
    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array: ...

    @abstractmethod
    def _avg_pool2d_forward(
        self, x: Array, g: Pool2dGeometry, count_include_pad: bool
    ) -> Array: ...

    @abstractmethod
    def _avg_pool2d_backward(
        self, grad_y: Array, g: Pool2dGeometry, count_include_pad: bool
    ) -> Array: ...

    @abstractmethod
    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array: ...

    @abstractmethod
    def _relu_backward(self, grad_y: Array, y: Array) -> Array: ...

    @abstractmethod
    def _softmax_cross_entropy_forward(
        self, logits: Array, labels: Array
    ) -> tuple[Array, Array]: ...

    @abstractmethod
    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array: ...

    @abstractmethod
    def _batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, eps: float
    ) -> tuple[Array, Array, Array]: ...

    @abstractmethod
    def _batch_norm_backward(
        self, grad_y: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]: ...

    @abstractmethod
    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]: ...

    @abstractmethod
    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array: ...

    @abstractmethod
    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array: ...

    @abstractmethod
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
    ) -> None: ...

    @abstractmethod
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
    ) -> None: ...

    @abstractmethod
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
    ) -> None: ...


def check_input(given: Any, expected: Any) -> None:
    """`DtypeError` if the dtype of an input is not that of the weights."""
    if given != expected:
        scaling = " / 255" if given == "uint8" else ""
        raise DtypeError(
            f"the input is {given}, the weights are {expected}",
            cause="both must be float32, or both float64",
            fix=f"convert the input, as in x.astype(numpy.{expected}){scaling}",
        )


def check_class_ids(labels: Array, classes: int) -> None:
    """Check that integer class ids are in [0, classes). Waits for the device.

    Raises:
        DataError: one is not; it is named.
    """
    wrong = (labels < 0) | (labels >= classes)
    if not wrong.any():
        return
    label = int(labels[wrong][0])
    raise DataError(
        f"label {label} is out of range",
        cause=f"the logits have {classes} classes: 0 to {classes - 1}"
        + "; -100 is what PyTorch ignores, and here nothing is ignored" * (label == -100),
        fix="leave those examples out: x[y != -100], y[y != -100]"
        if label == -100
        else "check the labels, or give the last layer more units",
    )


def _check_shape(name: str, array: Array, shape: Sequence[int]) -> None:
    if tuple(array.shape) != tuple(shape):
        raise ShapeError(
            f"{name} has shape {tuple(array.shape)}",
            cause=f"the other arguments ask for {tuple(shape)}",
            fix=f"pass a {name} of shape {tuple(shape)}",
        )


def _check_channels(name: str, array: Array) -> None:
    if array.ndim < 2:
        raise ShapeError(
            f"{name} has shape {tuple(array.shape)}",
            cause="it must have a batch and a channel axis: (N, C) or (N, C, ...)",
            fix="reshape it",
        )


def _pooling(geometry: Conv2dGeometry, pool: PoolArg | None) -> Pool2dGeometry | None:
    if pool is None:
        return None
    if not isinstance(pool, tuple) or len(pool) != 3:
        raise ShapeError(
            f"pool is {pool!r}",
            cause="it must be (kernel, stride, padding) or None",
            fix="give pool=(2, 2, 0), or pool=(2, None, 0) for a stride as large as the kernel",
        )
    return pool2d_geometry(geometry.y_shape, *pool)


def _counts_padding(padding: PaddingArg, count_include_pad: bool | None) -> bool:
    """Whether an average counts the pixels of the padding; see `Backend.avg_pool2d_forward`."""
    if count_include_pad not in (None, False, True):
        raise UsageError(
            f"count_include_pad is {count_include_pad!r}",
            cause="it says whether the padding is counted",
            fix='give True, False, or None, which is False with padding="same" and else True',
        )
    return not is_same(padding) if count_include_pad is None else bool(count_include_pad)


def _check_activation(activation: str | None) -> None:
    if activation not in (None, "relu"):
        raise UsageError(
            f"activation {activation!r} cannot be fused",
            cause='a primitive takes None or "relu"',
            fix="apply the function of gpucnn.functions to the result",
        )


def _check_rate(rate: float) -> None:
    if not 0.0 <= rate < 1.0:
        raise UsageError(
            f"dropout rate is {rate}",
            cause="it is the share of elements dropped: at least 0 and below 1",
            fix="give a rate such as 0.5",
        )
