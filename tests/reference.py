"""Oracles: every operation in float64, written from its formula.

Nothing here comes from gpucnn. All but convolution are plain loops, one output (or one window) at
a time; convolution, which tests call most and on the largest shapes, goes a tap of the window at a
time. Arrays go in and come out as NumPy float64.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
Sides = tuple[Pair, Pair]


def f64(array: Any) -> Array:
    return np.asarray(array, dtype=np.float64)


# --- sizes --------------------------------------------------------------------------------


def as_pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def output_size(size: int, kernel: int, stride: int, sides: Pair, dilation: int) -> int:
    """Count the window positions by walking over them."""
    first, last = -sides[0], size + sides[1] - 1
    positions = [p for p in range(first, last + 1, stride) if p + dilation * (kernel - 1) <= last]
    return len(positions)


def sides(padding: Any, image: Pair, kernel: Any, stride: Any = 1, dilation: Any = 1) -> Sides:
    """((top, bottom), (left, right)) of any way to write padding."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        found = []
        for size, k, s, d in zip(
            image, as_pair(kernel), as_pair(stride), as_pair(dilation), strict=True
        ):
            total = max((math.ceil(size / s) - 1) * s + d * (k - 1) + 1 - size, 0)
            found.append((total // 2, total - total // 2))
        return found[0], found[1]
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    if isinstance(padding[0], int):
        return (padding[0], padding[0]), (padding[1], padding[1])
    return as_pair(padding[0]), as_pair(padding[1])


# --- convolution --------------------------------------------------------------------------


class Taps:
    """A convolution as a sum over the taps of its window.

    A tap (i, j) meets one pixel of the padded image for each output: ``seen``. It adds
    ``w[:, :, i, j] @ seen`` to y, and the gradients are this map's transposes.
    tests/test_reference.py holds all three to the definition.

    Args:
        x_shape: (N, C, H, W).
        w_shape: (F, C/groups, KH, KW).
    """

    def __init__(
        self, x_shape: Any, w_shape: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> None:  # fmt: skip
        self.N, self.C, self.H, self.W = x_shape
        self.F, _, self.KH, self.KW = self.w_shape = tuple(w_shape)
        self.stride, self.dilation, self.groups = as_pair(stride), as_pair(dilation), groups
        image, kernel = (self.H, self.W), (self.KH, self.KW)
        self.sides = sides(padding, image, kernel, self.stride, self.dilation)
        self.OH, self.OW = map(output_size, image, kernel, self.stride, self.sides, self.dilation)
        self.y_shape = (self.N, self.F, self.OH, self.OW)

    def forward(self, x: Any, w: Any) -> Array:
        padded, taps = self._padded(x), self._taps(w)
        y = np.zeros(self._by_group(self.y_shape))
        for tap, where in self._windows():
            y += taps[tap] @ self._columns(padded[where])
        return y.reshape(self.y_shape)

    def backward_input(self, grad_y: Any, w: Any) -> Array:
        grad, taps = f64(grad_y).reshape(self._by_group(self.y_shape)), self._taps(w)
        padded = self._padded(np.zeros((self.N, self.C, self.H, self.W)))
        for tap, where in self._windows():
            seen = padded[where]
            seen += (taps[tap].swapaxes(1, 2) @ grad).reshape(seen.shape)
        (top, _), (left, _) = self.sides
        inside = padded[..., top : top + self.H, left : left + self.W]
        return inside.reshape(self.N, self.C, self.H, self.W)

    def backward_weight(self, grad_y: Any, x: Any) -> Array:
        grad, padded = f64(grad_y).reshape(self._by_group(self.y_shape)), self._padded(x)
        taps = self._taps(np.zeros(self.w_shape))
        for tap, where in self._windows():
            taps[tap] = (grad @ self._columns(padded[where]).swapaxes(2, 3)).sum(0)
        return np.moveaxis(taps, (0, 1), (3, 4)).reshape(self.w_shape)

    def terms(self) -> tuple[int, int, int]:
        """Products in the sum of one result of each pass."""
        filters, channels = self.F // self.groups, self.C // self.groups
        window = self.KH * self.KW
        return channels * window, filters * window, self.N * self.OH * self.OW

    def _by_group(self, shape: Any) -> tuple[int, ...]:
        """(N, channels, height, width) -> (N, groups, channels of a group, height * width)."""
        n, channels, height, width = shape
        return n, self.groups, channels // self.groups, height * width

    def _taps(self, w: Any) -> Array:
        """(KH, KW, groups, F of a group, C of a group)."""
        by_group = f64(w).reshape(self.groups, self.F // self.groups, *self.w_shape[1:])
        return np.ascontiguousarray(np.moveaxis(by_group, (3, 4), (0, 1)))

    def _padded(self, x: Any) -> Array:
        """(N, groups, C of a group, padded height, padded width)."""
        by_group = f64(x).reshape(self.N, self.groups, self.C // self.groups, self.H, self.W)
        return np.pad(by_group, ((0, 0), (0, 0), (0, 0), *self.sides))

    def _windows(self) -> Iterator[tuple[Pair, Any]]:
        """Each tap, and where the pixels lie in the padded image that it meets."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        for i, j in np.ndindex(self.KH, self.KW):
            rows = slice(i * dh, i * dh + (self.OH - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (self.OW - 1) * sw + 1, sw)
            yield (i, j), (..., rows, columns)

    def _columns(self, seen: Array) -> Array:
        """(N, groups, C of a group, OH * OW)."""
        return seen.reshape(*seen.shape[:3], self.OH * self.OW)


def conv2d_forward(
    x: Any, w: Any, b: Any = None, *, activation: str | None = None, **options: Any
) -> Array:
    """y[n,f,oh,ow] = b[f] + sum over c,i,j of x[n,c,oh*S+i*D-P,ow*S+j*D-P] * w[f,c,i,j]."""
    y = Taps(np.shape(x), np.shape(w), **options).forward(x, w)
    if b is not None:
        y += f64(b)[:, None, None]
    return relu(y) if activation == "relu" else y


def conv2d_backward_input(grad_y: Any, w: Any, x_shape: Any, **options: Any) -> Array:
    """Each output hands its gradient, times the weight, to every input it read."""
    return Taps(x_shape, np.shape(w), **options).backward_input(grad_y, w)


def conv2d_backward_weight(grad_y: Any, x: Any, w_shape: Any, **options: Any) -> Array:
    """Each output hands its gradient, times the input, to every weight it read."""
    return Taps(np.shape(x), w_shape, **options).backward_weight(grad_y, x)


def conv2d_transpose(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Each input pixel adds w times itself to an image, whose border is then cut off.

    For padding that is given in pixels. `output_padding` leaves that much more at the bottom and
    the right; what is left beyond the image that was added to is zero.
    """
    x, w = f64(x), f64(w)
    (N, C, H, W), (KH, KW) = x.shape, w.shape[2:]
    (sh, sw), (dh, dw), (eh, ew) = as_pair(stride), as_pair(dilation), as_pair(output_padding)
    (top, bottom), (left, right) = sides(padding, (H, W), (KH, KW))
    height = (H - 1) * sh + dh * (KH - 1) + 1
    width = (W - 1) * sw + dw * (KW - 1) + 1
    image = np.zeros((N, w.shape[1] * groups, height + eh, width + ew))
    for n, c, h, v in np.ndindex(x.shape):
        first = c // (C // groups) * w.shape[1]
        for f, kh, kw in np.ndindex(w.shape[1:]):
            image[n, first + f, h * sh + kh * dh, v * sw + kw * dw] += (
                x[n, c, h, v] * w[c, f, kh, kw]
            )
    y = image[:, :, top : height + eh - bottom, left : width + ew - right]
    return y if b is None else y + f64(b)[:, None, None]


def bias_grad(grad_y: Any) -> Array:
    grad_y = f64(grad_y)
    return np.array([math.fsum(grad_y[:, c].ravel().tolist()) for c in range(grad_y.shape[1])])


# --- pooling ------------------------------------------------------------------------------


def _pool_axes(x_shape: Any, kernel: Any, stride: Any, padding: Any) -> list[tuple[int, ...]]:
    """(size, kernel, stride, padding before, padding after) of height and width."""
    kernel = as_pair(kernel)
    stride = kernel if stride is None else as_pair(stride)
    around = sides(padding, x_shape[2:], kernel, stride)
    return [
        (size, k, s, *before_after)
        for size, k, s, before_after in zip(x_shape[2:], kernel, stride, around, strict=True)
    ]


def pool_shape(x_shape: Any, kernel: Any, stride: Any = None, padding: Any = 0) -> tuple[int, ...]:
    """The shape of a pooling's output."""
    image = (
        output_size(size, k, s, (before, after), 1)
        for size, k, s, before, after in _pool_axes(x_shape, kernel, stride, padding)
    )
    return (*x_shape[:2], *image)


def _pool_windows(x_shape: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """(oh, ow, the window's positions inside the image in row-major order)."""
    OH, OW = pool_shape(x_shape, kernel, stride, padding)[2:]
    (H, kh, sh, top, _), (W, kw, sw, left, _) = _pool_axes(x_shape, kernel, stride, padding)
    for oh, ow in np.ndindex(OH, OW):
        rows = range(max(oh * sh - top, 0), min(oh * sh - top + kh, H))
        columns = range(max(ow * sw - left, 0), min(ow * sw - left + kw, W))
        yield oh, ow, list(itertools.product(rows, columns))


def _argmax(plane: Array, window: list[Pair]) -> Pair:
    """The first NaN, or else the first maximum, in row-major order."""
    best = window[0]
    for position in window:
        if math.isnan(plane[position]):
            return position
        if plane[position] > plane[best]:
            best = position
    return best


def max_pool2d_forward(x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0) -> Array:
    x = f64(x)
    y = np.zeros(pool_shape(x.shape, kernel, stride, padding))
    for oh, ow, window in _pool_windows(x.shape, kernel, stride, padding):
        for n, c in np.ndindex(x.shape[:2]):
            y[n, c, oh, ow] = x[n, c][_argmax(x[n, c], window)]
    return y


def max_pool2d_backward(
    grad_y: Any, x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0
) -> Array:
    """From x itself: the library's argmax is opaque."""
    grad_y, x = f64(grad_y), f64(x)
    grad_x = np.zeros(x.shape)
    for oh, ow, window in _pool_windows(x.shape, kernel, stride, padding):
        for n, c in np.ndindex(x.shape[:2]):
            grad_x[n, c][_argmax(x[n, c], window)] += grad_y[n, c, oh, ow]
    return grad_x


def avg_pool2d_forward(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, count_include_pad: bool
) -> Array:
    x = f64(x)
    area = math.prod(as_pair(kernel))
    y = np.zeros(pool_shape(x.shape, kernel, stride, padding))
    for oh, ow, window in _pool_windows(x.shape, kernel, stride, padding):
        for position in window:
            y[:, :, oh, ow] += x[:, :, *position]
        y[:, :, oh, ow] /= area if count_include_pad else len(window)
    return y


def avg_pool2d_backward(
    grad_y: Any,
    x_shape: Any,
    kernel: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    count_include_pad: bool,
) -> Array:
    grad_y = f64(grad_y)
    area = math.prod(as_pair(kernel))
    grad_x = np.zeros(x_shape)
    for oh, ow, window in _pool_windows(x_shape, kernel, stride, padding):
        for position in window:
            share = area if count_include_pad else len(window)
            grad_x[:, :, *position] += grad_y[:, :, oh, ow] / share
    return grad_x


# --- matrix product and losses -------------------------------------------------------------


def matmul(
    a: Any,
    b: Any,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: Any = None,
    activation: str | None = None,
) -> Array:
    """c[i,j] = bias[j] + sum over k of a[i,k] * b[k,j], a sum of Python floats."""
    rows = f64(a).T if transpose_a else f64(a)
    columns = f64(b) if transpose_b else f64(b).T
    c = np.zeros((len(rows), len(columns)))
    for i, j in np.ndindex(c.shape):
        c[i, j] = math.fsum((rows[i] * columns[j]).tolist())
        c[i, j] += 0.0 if bias is None else f64(bias)[j]
    return relu(c) if activation == "relu" else c


def log_softmax_row(row: Array) -> list[float]:
    largest = max(row.tolist())
    total = math.fsum(math.exp(value - largest) for value in row.tolist())
    return [value - largest - math.log(total) for value in row.tolist()]


def softmax_cross_entropy_forward(logits: Any, labels: Any) -> tuple[Array, Array]:
    """(losses, probabilities); labels are class ids or rows of probabilities."""
    logits, labels = f64(logits), np.asarray(labels)
    losses, probabilities = np.zeros(len(logits)), np.zeros(logits.shape)
    for n, row in enumerate(logits):
        logs = log_softmax_row(row)
        probabilities[n] = [math.exp(value) for value in logs]
        if labels.ndim == 1:
            losses[n] = -logs[labels[n]]
        else:
            losses[n] = -math.fsum(labels[n, k] * logs[k] for k in range(len(logs)))
    return losses, probabilities


def softmax_cross_entropy_backward(probabilities: Any, labels: Any, grad: Any) -> Array:
    """(p - one_hot(label)) * grad, a row at a time."""
    probabilities, grad = f64(probabilities), f64(grad)
    grad_logits = np.zeros(probabilities.shape)
    for n, k in np.ndindex(probabilities.shape):
        hit = 1.0 if k == labels[n] else 0.0
        grad_logits[n, k] = (probabilities[n, k] - hit) * grad[n]
    return grad_logits


def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Array:
    """-(t log s + (1 - t) log(1 - s)), s the logistic function, from exact logarithms."""

    def softplus(value: float) -> float:
        return max(value, 0.0) + math.log1p(math.exp(-abs(value)))

    logits, targets = f64(logits), f64(targets)
    losses = np.zeros(logits.shape)
    for i in np.ndindex(logits.shape):
        losses[i] = targets[i] * softplus(-logits[i]) + (1 - targets[i]) * softplus(logits[i])
    return losses


# --- normalization, dropout, gather -----------------------------------------------------------


def _channels(x: Array) -> Array:
    """(C, everything else): a view of x by channel."""
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)


def _like(rows: Array, x: Array) -> Array:
    moved = np.moveaxis(x, 1, 0).shape
    return np.moveaxis(rows.reshape(moved), 0, 1)


def batch_norm_forward(
    x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """(y, mean, biased variance), Ioffe and Szegedy 2015, algorithm 1."""
    x = f64(x)
    rows = _channels(x).copy()
    mean, var = np.zeros(len(rows)), np.zeros(len(rows))
    for c, row in enumerate(rows):
        mean[c] = math.fsum(row.tolist()) / len(row)
        var[c] = math.fsum(((row - mean[c]) ** 2).tolist()) / len(row)
        rows[c] = f64(gamma)[c] * (row - mean[c]) / math.sqrt(var[c] + eps) + f64(beta)[c]
    return _like(rows, x), mean, var


def batch_norm_backward(
    grad_y: Any, x: Any, gamma: Any, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """The chain rule of the paper's section 3, through mean and variance one at a time."""
    grad_y, x, gamma = f64(grad_y), f64(x), f64(gamma)
    rows, grads = _channels(x), _channels(grad_y)
    grad_x, grad_gamma, grad_beta = np.zeros(rows.shape), np.zeros(len(rows)), np.zeros(len(rows))
    for c, (row, grad) in enumerate(zip(rows, grads, strict=True)):
        m = len(row)
        mean = math.fsum(row.tolist()) / m
        var = math.fsum(((row - mean) ** 2).tolist()) / m
        grad_hat = grad * gamma[c]
        grad_var = np.sum(grad_hat * (row - mean)) * -0.5 * (var + eps) ** -1.5
        grad_mean = -np.sum(grad_hat) / math.sqrt(var + eps)
        grad_mean += grad_var * np.sum(-2.0 * (row - mean)) / m
        grad_x[c] = grad_hat / math.sqrt(var + eps)
        grad_x[c] += grad_var * 2.0 * (row - mean) / m + grad_mean / m
        grad_gamma[c] = np.sum(grad * (row - mean)) / math.sqrt(var + eps)
        grad_beta[c] = np.sum(grad)
    return _like(grad_x, x), grad_gamma, grad_beta


def layer_norm(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5) -> Array:
    x = f64(x)
    y = np.zeros(x.shape)
    for position in np.ndindex(x.shape[:-1]):
        row = x[position]
        mean = math.fsum(row.tolist()) / len(row)
        var = math.fsum(((row - mean) ** 2).tolist()) / len(row)
        y[position] = f64(gamma) * (row - mean) / math.sqrt(var + eps) + f64(beta)
    return y


def gather(dataset: Any, indices: Any, *, scale: float = 1.0, offset: float = 0.0) -> Array:
    rows = np.zeros((len(indices), *dataset.shape[1:]))
    for row, index in enumerate(indices):
        rows[row] = f64(dataset[index]) * scale + offset
    return rows


def metrics(losses: Any, outputs: Any, labels: Any, *, threshold: float = 0.0) -> tuple[Any, int]:
    """(mean loss times number of images, right answers); labels: ids, or targets (N, K, ...)."""
    losses, outputs, labels = f64(losses), f64(outputs), f64(labels)

    def answer(row: list[float], least: float) -> float:
        if len(row) == 1:
            return float(row[0] > least)
        nans = [k for k, value in enumerate(row) if math.isnan(value)]
        return float(nans[0] if nans else row.index(max(row)))

    right = 0
    for n, *place in np.ndindex(outputs.shape[0], *outputs.shape[2:]):
        at = (n, slice(None), *place)
        got = answer(outputs[at].tolist(), threshold)
        if labels.ndim == outputs.ndim:
            wanted = answer(labels[at].tolist(), 0.5)
        else:
            wanted = labels[(n, *place)]
            wanted = float(wanted > 0.5) if outputs.shape[1] == 1 else wanted
        right += got == wanted
    return math.fsum(losses.ravel().tolist()) / losses.size * len(outputs), right


# --- optimizers ------------------------------------------------------------------------------


def clip_grad_norm(grads: list[Any], max_norm: float) -> tuple[list[Array], float]:
    """All of them times min(1, max_norm / (norm + 1e-6)), and the norm."""
    norm = math.sqrt(math.fsum(float(value) ** 2 for grad in grads for value in grad.ravel()))
    factor = min(1.0, max_norm / (norm + 1e-6))
    return [f64(grad) * factor for grad in grads], norm


def sgd(
    w: Any,
    g: Any,
    v: Any,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[Array, Array]:
    """(w, v) after one step; v is ignored without momentum."""
    w, g, v = f64(w).copy(), f64(g), f64(v).copy()
    for i in np.ndindex(w.shape):
        slope = g[i] + weight_decay * w[i]
        if momentum:
            v[i] = momentum * v[i] + slope
            slope = slope + momentum * v[i] if nesterov else v[i]
        w[i] -= lr * slope
    return w, v


def rmsprop(
    w: Any,
    g: Any,
    s: Any,
    *,
    lr: float,
    rho: float = 0.9,
    eps: float = 1e-7,
    weight_decay: float = 0.0,
) -> tuple[Array, Array]:
    w, g, s = f64(w).copy(), f64(g), f64(s).copy()
    for i in np.ndindex(w.shape):
        slope = g[i] + weight_decay * w[i]
        s[i] = rho * s[i] + (1 - rho) * slope * slope
        w[i] -= lr * slope / (math.sqrt(s[i]) + eps)
    return w, s


def adam(
    w: Any,
    g: Any,
    m: Any,
    v: Any,
    *,
    lr: float,
    step: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> tuple[Array, Array, Array]:
    """Kingma and Ba 2015, algorithm 1; decoupled: Loshchilov and Hutter 2019, algorithm 2."""
    w, g, m, v = f64(w).copy(), f64(g), f64(m).copy(), f64(v).copy()
    # In float64 these differences lose digits: 1e-14 of themselves at step 1.
    correction1 = float(1 - np.longdouble(beta1) ** step)
    correction2 = float(1 - np.longdouble(beta2) ** step)
    for i in np.ndindex(w.shape):
        slope = g[i]
        if decoupled:
            w[i] -= lr * weight_decay * w[i]
        else:
            slope += weight_decay * w[i]
        m[i] = beta1 * m[i] + (1 - beta1) * slope
        v[i] = beta2 * v[i] + (1 - beta2) * slope * slope
        m_hat, v_hat = m[i] / correction1, v[i] / correction2
        w[i] -= lr * m_hat / (math.sqrt(v_hat) + eps)
    return w, m, v


# --- elementwise -------------------------------------------------------------------------------


def each(formula: Callable[[float], float], x: Any) -> Array:
    """formula of every element."""
    x = f64(x)
    y = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        y[i] = formula(float(x[i]))
    return y


def relu(x: Any) -> Array:
    x = f64(x)
    return np.where((x > 0) | np.isnan(x), x, 0.0)


def sigmoid(x: Any) -> Array:
    def formula(value: float) -> float:
        return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - 1 / (1 + math.exp(value))

    return each(formula, x)


def gelu_tanh(x: Any) -> Array:
    """Hendrycks and Gimpel 2016: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    inner = math.sqrt(2 / math.pi)
    return each(lambda v: v / 2 * (1 + math.tanh(inner * (v + 0.044715 * v**3))), x)


def log_softmax(x: Any, axis: int = -1) -> Array:
    moved = np.moveaxis(f64(x), axis, -1)
    y = np.zeros(moved.shape)
    for position in np.ndindex(moved.shape[:-1]):
        y[position] = log_softmax_row(moved[position])
    return np.moveaxis(y, -1, axis)


# --- random numbers ----------------------------------------------------------------------------


def philox4x32(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Ten rounds of Philox4x32 in Python integers (Salmon et al. 2011, section 3.3)."""
    mask = 0xFFFFFFFF
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & mask, (p0 >> 32) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return c0, c1, c2, c3


def stream_key(seed: int, name: str) -> tuple[int, int]:
    """BLAKE2b-64 of the seed (8 bytes, little endian) and the name: two little-endian words."""
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def bits(count: int, key: tuple[int, int], step: int) -> list[int]:
    """Element i is lane i % 4 of the block with counter (i // 4, step), low words first."""
    found = []
    for i in range(count):
        block = i // 4
        counter = (block & 0xFFFFFFFF, block >> 32, step & 0xFFFFFFFF, step >> 32)
        found.append(philox4x32(counter, key)[i % 4])
    return found
