"""The table of `gpucnn bench ops`: every primitive on the shapes of a suite.

To add an operation, yield one more `Operation` below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpucnn.bench.convolutions import Convolution, Shape, suite
from gpucnn.bench.verify import Array
from gpucnn.random import stream_key

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench

Operands = Callable[["Bench"], Sequence[Array]]
Prepare = Callable[..., Callable[[], Any]]

_POOLED: dict[str, tuple[tuple[Shape, int], ...]] = {  # images, window
    "quick": (((2, 4, 8, 8), 2),),
    "mnist": (((128, 64, 24, 24), 2), ((1024, 64, 24, 24), 2), ((128, 6, 28, 28), 2)),
    "deepbench": (((128, 64, 24, 24), 2), ((1024, 64, 24, 24), 2), ((16, 64, 112, 112), 3)),
}
_IMAGES: dict[str, tuple[Shape, ...]] = {  # those that `cnn` drops out, those of a ResNet
    "quick": ((2, 3, 4, 5),),
    "mnist": ((128, 64, 24, 24),),
    "deepbench": ((128, 64, 24, 24), (16, 64, 112, 112)),
}
_DENSE = {  # (M, N, K) of dense layers of the models; and a large one
    "quick": ((8, 10, 49),),
    "mnist": ((128, 10, 784), (128, 512, 784), (128, 128, 9216), (1024, 128, 9216)),
    "deepbench": ((128, 512, 784), (128, 128, 9216), (1024, 128, 9216), (4096, 4096, 4096)),
}
_BATCHES = {"quick": (8,), "mnist": (128, 1024), "deepbench": (128, 1024)}
_DATASET = {"quick": 1000, "mnist": 60_000, "deepbench": 60_000}
_PARAMETERS = {"quick": 1001, "mnist": 1_199_882, "deepbench": 25_557_032}  # cnn's, ResNet-50's
_CLASSES, _EPS, _RATE, _SCALE = 10, 1e-5, 0.25, 1 / 255


class Operation(NamedTuple):
    """A primitive on one shape.

    `ours` and `torch` do the untimed preparation, and return the call that is timed. That call
    converts nothing: indices and labels are of the type that each library takes in training, and
    counters are arrays of the device.

    Attributes:
        name, case: as in `BenchRow`.
        flop: floating-point operations; a multiply-add counts as two, a comparison as one.
        values: numbers of the call's dtype that are read or written.
        terms: for each result that is verified, the terms in its longest sum; 0: it is exact.
        operands: (bench) -> arrays on the host.
        ours: (backend, *operands) -> the call; it gives the results.
        torch: (torch, *operands) -> PyTorch's call.
        nbytes: bytes of other dtypes that are read or written.
    """

    name: str
    case: str
    flop: float
    values: float
    terms: tuple[int, ...]
    operands: Operands
    ours: Prepare
    torch: Prepare
    nbytes: float = 0

    @property
    def primitive(self) -> str:
        """The primitive whose algorithm can be forced: the name without what is fused into it."""
        if self.name.startswith("matmul"):
            return "matmul"
        return self.name.replace("bias relu", "forward").replace(" ", "_")


def operations(of_suite: str) -> Iterator[Operation]:
    """All operations of a suite."""
    for convolution in suite(of_suite):
        yield from _convolution(convolution)
    for sizes in _DENSE[of_suite]:
        yield from _gemm(*sizes)
    for convolution in suite(of_suite):
        if convolution.group in ("MNIST", "quick"):
            yield from _conv2d_relu_pool(convolution)
    for shape, kernel in _POOLED[of_suite]:
        yield from _pool(shape, kernel)
    for shape in _IMAGES[of_suite]:
        yield from _elementwise(shape)
    for N in _BATCHES[of_suite]:
        yield from _loss(N)
        yield gather(N, _DATASET[of_suite])
    yield from _optimizers(_PARAMETERS[of_suite])


def noise(*shapes: tuple[int, ...]) -> Operands:
    """Operands of these shapes."""
    return lambda bench: [bench.noise(*shape) for shape in shapes]


def call(name: str, **options: Any) -> Prepare:
    """The call of a method of a backend, or of a function of torch, with the operands."""
    return lambda module, *operands: partial(attrgetter(name)(module), *operands, **options)


def _gradients(torch: Any, function: Any, leaves: Any, grad_y: Any) -> Callable[[], Any]:
    """PyTorch's call for the gradients of a function by its operands."""
    for leaf in leaves:
        leaf.requires_grad_()
    return partial(torch.autograd.grad, function(*leaves), leaves, grad_y, retain_graph=True)


def _total(*shapes: tuple[int, ...]) -> int:
    return sum(map(math.prod, shapes))


def _named(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


# The table: of each operation its costs and operands, our call, PyTorch's call.
# fmt: off


def _convolution(s: Convolution) -> Iterator[Operation]:
    """The three passes; for MNIST's shapes also the first with bias and ReLU."""
    x, w, y = s.x_shape, s.w_shape, s.y_shape
    values, window = _total(x, w, y), s.KH * s.KW
    how: dict[str, Any] = {"stride": s.stride, "padding": s.padding}

    def torch_backward(torch: Any, g: Any, x: Any, w: Any, *wanted: bool) -> Callable[[], Any]:
        sizes = [s.stride] * 2, [s.padding] * 2, [1, 1], False, [0, 0], 1
        return partial(torch.ops.aten.convolution_backward, g, x, w, None, *sizes, wanted)

    yield Operation(
        "conv2d forward", s.name, s.flop, values, (s.C * window,), noise(x, w),
        call("conv2d_forward", **how),
        call("conv2d", **how))
    yield Operation(
        "conv2d backward_input", s.name, s.flop, values, (s.F * window,), noise(y, x, w),
        lambda b, g, x, w: partial(b.conv2d_backward_input, g, w, s.x_shape, **how),
        lambda torch, *operands: torch_backward(torch, *operands, True, False, False))
    yield Operation(
        "conv2d backward_weight", s.name, s.flop, values, (math.prod(y) // s.F,), noise(y, x, w),
        lambda b, g, x, w: partial(b.conv2d_backward_weight, g, x, s.w_shape, **how),
        lambda torch, *operands: torch_backward(torch, *operands, False, True, False))
    if s.group in ("MNIST", "quick"):
        yield Operation(
            "conv2d bias relu", s.name, s.flop, values + s.F, (s.C * window + 1,),
            noise(x, w, (s.F,)),
            call("conv2d_forward", activation="relu", **how),
            lambda torch, x, w, bias: lambda: torch.conv2d(x, w, bias, **how).relu_())


def _conv2d_relu_pool(s: Convolution) -> Iterator[Operation]:
    """A convolution with bias, ReLU and a 2x2 max pool, and all three gradients of it."""
    N, F, OH, OW = s.y_shape
    shapes, y_shape = (s.x_shape, s.w_shape, (F,)), (N, F, OH // 2, OW // 2)
    x, w, y = map(math.prod, (s.x_shape, s.w_shape, y_shape))
    how: dict[str, Any] = {"stride": s.stride, "padding": s.padding}
    fused = {**how, "activation": "relu", "pool": (2, 2, 0)}
    window, pixels = s.KH * s.KW, N * OH * OW

    def integers(bench: Bench) -> list[Array]:
        # With small integers the convolution is exact, and float32 finds the maxima of float64.
        dtype = bench.options.dtype
        drawn = [bench.rng.integers(-2, 3, shape).astype(dtype) for shape in shapes]
        return [*drawn, bench.noise(*y_shape)]

    def backward(b: Any, x: Any, w: Any, bias: Any, grad_y: Any) -> Callable[[], Any]:
        y, argmax = b.conv2d_relu_pool_forward(x, w, bias, **fused)
        return partial(b.conv2d_relu_pool_backward, grad_y, x, w, y, argmax, **how, pool=(2, 2, 0))

    def torch_forward(torch: Any, x: Any, w: Any, bias: Any) -> Any:
        return torch.max_pool2d(torch.conv2d(x, w, bias, **how).relu_(), 2)

    yield Operation(
        "conv2d pool forward", s.name, s.flop, x + w + F + y, (s.C * window + 1,), noise(*shapes),
        call("conv2d_relu_pool_forward", **fused),
        lambda torch, *operands: partial(torch_forward, torch, *operands), nbytes=y)  # the argmax
    yield Operation(
        "conv2d pool backward", s.name, 2 * s.flop, 2 * (x + w + y) + F,
        (F * window, pixels, pixels), integers,
        backward,
        lambda torch, *xs: _gradients(torch, partial(torch_forward, torch), xs[:3], xs[3]),
        nbytes=y)


def _gemm(M: int, N: int, K: int) -> Iterator[Operation]:
    """A dense layer of M images, K inputs and N outputs: forward, and the gradients of x and w."""
    flop, values = 2 * M * N * K, _total((M, K), (K, N), (M, N))
    yield Operation(
        "matmul", _named((M, N, K)), flop, values, (K,), noise((M, K), (K, N)),
        call("matmul"),
        call("mm"))
    yield Operation(  # grad_x = grad_y @ w^T
        "matmul b^T", _named((M, K, N)), flop, values, (N,), noise((M, N), (K, N)),
        call("matmul", transpose_b=True),
        lambda torch, g, w: partial(torch.mm, g, w.T))
    yield Operation(  # grad_w = x^T @ grad_y
        "matmul a^T", _named((K, N, M)), flop, values, (M,), noise((M, K), (M, N)),
        call("matmul", transpose_a=True),
        lambda torch, x, g: partial(torch.mm, x.T, g))
    yield Operation(
        "matmul bias relu", _named((M, N, K)), flop, values + N, (K + 1,),
        noise((M, K), (K, N), (N,)),
        lambda b, x, w, bias: partial(b.matmul, x, w, bias=bias, activation="relu"),
        lambda torch, x, w, bias: lambda: torch.addmm(bias, x, w).relu_())


def _pool(shape: Shape, k: int) -> Iterator[Operation]:
    """Windows of k x k at a stride of 2."""
    N, C, H, W = shape
    y_shape = (N, C, (H - k) // 2 + 1, (W - k) // 2 + 1)
    y, values, taps = math.prod(y_shape), _total(shape, y_shape), k * k
    case, how = f"{_named(shape)} {k}x{k} s2", {"kernel": k, "stride": 2}
    sizes = [k, k], [2, 2], [0, 0]

    def max_backward(b: Any, g: Any, x: Any) -> Callable[[], Any]:
        return partial(b.max_pool2d_backward, g, b.max_pool2d_forward(x, **how)[1], shape, **how)

    def torch_max_backward(torch: Any, g: Any, x: Any) -> Callable[[], Any]:
        _, index = torch.nn.functional.max_pool2d(x, k, 2, return_indices=True)
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        return partial(backward, g, x, *sizes, [1, 1], False, index)

    yield Operation(
        "max pool forward", case, taps * y, values, (0,), noise(shape),
        call("max_pool2d_forward", **how),
        call("nn.functional.max_pool2d", kernel_size=k, stride=2, return_indices=True), nbytes=y)
    yield Operation(
        "max pool backward", case, y, values, (taps,), noise(y_shape, shape),
        max_backward,
        torch_max_backward, nbytes=y)
    yield Operation(
        "avg pool forward", case, (taps + 1) * y, values, (taps,), noise(shape),
        call("avg_pool2d_forward", **how),
        call("nn.functional.avg_pool2d", kernel_size=k, stride=2))
    yield Operation(
        "avg pool backward", case, taps * y, values, (taps,), noise(y_shape, shape),
        lambda b, g, x: partial(b.avg_pool2d_backward, g, shape, **how),
        lambda torch, g, x: partial(
            torch.ops.aten.avg_pool2d_backward, g, x, *sizes, False, True, None))


def _elementwise(shape: Shape) -> Iterator[Operation]:
    """Passes over images: normalization, ReLU, bias and dropout."""
    size, case, C = math.prod(shape), _named(shape), shape[1:2]
    terms, key = size // shape[1], stream_key(0, "bench")

    def norm_backward(b: Any, x: Any, gamma: Any, beta: Any, g: Any) -> Callable[[], Any]:
        _, mean, variance = b.batch_norm_forward(x, gamma, beta, eps=_EPS)
        return partial(b.batch_norm_backward, g, x, gamma, mean, variance, eps=_EPS)

    def torch_norm(torch: Any, x: Any, gamma: Any, beta: Any) -> Any:
        return torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=_EPS)

    yield Operation(
        "batch norm forward", case, 8 * size, 2 * size, (terms,), noise(shape, C, C),
        call("batch_norm_forward", eps=_EPS),
        lambda torch, *operands: partial(torch_norm, torch, *operands))
    yield Operation(
        "batch norm backward", case, 11 * size, 3 * size, (terms,) * 3, noise(shape, C, C, shape),
        norm_backward,
        lambda torch, *xs: _gradients(torch, partial(torch_norm, torch), xs[:3], xs[3]))
    yield Operation(
        "relu backward", case, size, 3 * size, (0,),
        lambda bench: [bench.noise(*shape), np.maximum(bench.noise(*shape), 0)],
        call("relu_backward"),
        call("ops.aten.threshold_backward", threshold=0))
    yield Operation(
        "bias grad", case, size, size, (terms,), noise(shape),
        call("bias_grad"),
        call("sum", dim=(0, 2, 3)))
    yield Operation(
        "dropout forward", case, size, 2 * size, (4, 0), noise(shape),
        lambda b, x: partial(
            b.dropout_forward, x, rate=_RATE, key=key, step=b.asarray(np.array([7], np.uint32))),
        call("ops.aten.native_dropout", p=_RATE, train=True), nbytes=size)  # the mask
    yield Operation(
        "dropout backward", case, size, 2 * size, (4,),
        lambda bench: [bench.noise(*shape), (bench.rng.random(shape) >= _RATE).astype(np.uint8)],
        call("dropout_backward", rate=_RATE),
        lambda torch, g, mask: partial(
            torch.ops.aten.native_dropout_backward, g, mask.bool(), 1 / (1 - _RATE)), nbytes=size)


def _loss(N: int) -> Iterator[Operation]:
    """The loss of a batch, and its gradient."""
    size, case, labels = N * _CLASSES, f"{N}x{_CLASSES}", 4 * N

    def operands(bench: Bench) -> list[Array]:
        labels = bench.rng.integers(0, _CLASSES, N, np.int32)
        return [bench.noise(N, _CLASSES), labels, bench.noise(N)]

    def backward(b: Any, logits: Any, labels: Any, g: Any) -> Callable[[], Any]:
        _, probabilities = b.softmax_cross_entropy_forward(logits, labels)
        return partial(b.softmax_cross_entropy_backward, probabilities, labels, g)

    def torch_loss(torch: Any, labels: Any) -> Callable[..., Any]:
        loss = torch.nn.functional.cross_entropy
        return partial(loss, target=labels.long(), reduction="none")

    yield Operation(
        "cross-entropy forward", case, 4 * size, 2 * size + N, (_CLASSES, _CLASSES), operands,
        lambda b, logits, labels, g: partial(b.softmax_cross_entropy_forward, logits, labels),
        lambda torch, logits, labels, g: partial(torch_loss(torch, labels), logits), nbytes=labels)
    yield Operation(
        "cross-entropy backward", case, 2 * size, 2 * size + N, (_CLASSES,), operands,
        backward,
        lambda torch, x, labels, g: _gradients(torch, torch_loss(torch, labels), (x,), g),
        nbytes=labels)


def gather(N: int, images: int) -> Operation:
    """A batch of N of so many images: bytes become floats."""
    pixels = N * 784

    def torch_gather(torch: Any, data: Any, indices: Any) -> Callable[[], Any]:
        indices = indices.long()  # as PyTorch's permutations are
        return lambda: data[indices].float().mul_(_SCALE)

    return Operation(
        "gather", f"{N}x1x28x28", 2 * pixels, pixels, (4,),
        lambda bench: [bench.rng.integers(0, 256, (images, 1, 28, 28), np.uint8),
                       bench.rng.integers(0, images, N, np.int32)],
        call("gather", scale=_SCALE),
        torch_gather, nbytes=pixels + 4 * N)


def _optimizers(size: int) -> Iterator[Operation]:
    """Updates in place of so many parameters, from slots that are not zero."""

    def update(method: str, **options: Any) -> Prepare:
        def prepare(b: Any, param: Any, grad: Any, *slots: Any) -> Callable[[], Any]:
            updated = [param.copy(), *(slot.copy() for slot in slots)]
            scalars = {"learning_rate": np.array([0.5], np.float32)}
            if method == "adam_update":
                scalars["step"] = np.array([3], np.uint32)
            given = {name: b.asarray(scalar) for name, scalar in scalars.items()} | options

            def run() -> tuple[Any, ...]:
                getattr(b, method)(updated[0], grad, *updated[1:], **given)
                return tuple(updated)

            return run

        return prepare

    def torch_update(optimizer: str, **options: Any) -> Prepare:
        def prepare(torch: Any, param: Any, grad: Any, *slots: Any) -> Callable[[], Any]:
            parameter = torch.nn.Parameter(param)
            parameter.grad = grad
            return getattr(torch.optim, optimizer)([parameter], lr=0.5, **options).step

        return prepare

    def operands(bench: Bench) -> list[Array]:
        return [bench.noise(size), bench.noise(size), np.abs(bench.noise(size))]

    yield Operation(
        "sgd", f"{size:,}", 4 * size, 5 * size, (16, 16), operands,
        update("sgd_update", momentum=0.9),
        torch_update("SGD", momentum=0.9, fused=True))
    yield Operation(
        "rmsprop", f"{size:,}", 7 * size, 5 * size, (16, 16), operands,
        update("rmsprop_update"),
        torch_update("RMSprop", alpha=0.9, eps=1e-7))
    yield Operation(
        "adam", f"{size:,}", 12 * size, 7 * size, (16,) * 3,
        lambda bench: [*operands(bench), np.abs(bench.noise(size))],
        update("adam_update"),
        torch_update("Adam", fused=True))
