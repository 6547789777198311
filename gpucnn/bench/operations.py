"""`gpucnn bench ops`: every primitive on the shapes of a suite, as one table.

To add an operation, yield one more `Operation` below: its operands, what it costs, our call, and
PyTorch's. A `ours` or `torch` prepares what is not timed and returns the call that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpucnn.bench.convolutions import Convolution, Shape, suite
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Work
from gpucnn.bench.verify import Array, dtype_of, verify
from gpucnn.random import stream_key

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench, Task

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

    Attributes:
        name, case: as in `BenchRow`.
        flop: floating-point operations; a multiply-add counts as two, a comparison as one.
        values: numbers of the call's dtype that are read or written.
        terms: for each result, the terms in the longest sum of an element; 0: it is exact.
        arrays: (bench) -> the operands, on the host.
        ours: (backend, *operands) -> the call that is timed; it gives the results.
        torch: (torch, *operands) -> PyTorch's call.
        nbytes: bytes of other dtypes that are read or written.
    """

    name: str
    case: str
    flop: float
    values: float
    terms: tuple[int, ...]
    arrays: Callable[[Bench], Sequence[Array]]
    ours: Prepare
    torch: Prepare
    nbytes: float = 0


def tasks(bench: Bench) -> list[Task]:
    """A row for each operation of the suite that the call's dtype has."""
    only_float32 = {"gather"}
    return [
        partial(_measure, bench, operation)
        for operation in operations(bench.options.suite)
        if bench.options.dtype == "float32" or operation.name not in only_float32
    ]


def _measure(bench: Bench, operation: Operation) -> BenchRow:
    dtype = bench.options.dtype
    nbytes = operation.values * np.dtype(dtype).itemsize + operation.nbytes
    row = BenchRow("ops", operation.name, operation.case, dtype, operation.flop, nbytes)
    return bench.guarded(row, lambda: work(bench, operation))


def work(bench: Bench, operation: Operation) -> Work:
    """An operation on operands of its own; PyTorch's gets copies of them."""
    backend, arrays = bench.backend, operation.arrays(bench)
    check = partial(verify, operation.ours, backend, arrays, operation.terms)
    is_reference = backend.name == "cpu" and dtype_of(arrays) == "float64"  # verifies the others
    return Work(
        operation.ours(backend, *map(backend.asarray, arrays)),
        None if is_reference else check,
        bench.torch_calls(operation.torch, arrays),
    )


def operations(of_suite: str) -> Iterator[Operation]:
    """Those of a suite."""
    for convolution in suite(of_suite):
        yield from _convolution(convolution)
    for sizes in _DENSE[of_suite]:
        yield from _matmul(*sizes)
    for convolution in suite(of_suite):
        if convolution.group in ("MNIST", "quick"):
            yield from _conv2d_relu_pool(convolution)
    for shape, kernel in _POOLED[of_suite]:
        yield from _pool(shape, kernel)
    for shape in _IMAGES[of_suite]:
        yield from _elementwise(shape)
    for N in _BATCHES[of_suite]:
        yield from _batch(N, _DATASET[of_suite])
    yield from _optimizer(_PARAMETERS[of_suite])


def _noise(*shapes: tuple[int, ...]) -> Callable[[Bench], list[Array]]:
    return lambda bench: [bench.noise(*shape) for shape in shapes]


def _total(*shapes: tuple[int, ...]) -> int:
    return sum(map(math.prod, shapes))


def _named(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _convolution(s: Convolution) -> Iterator[Operation]:
    """The three passes; for MNIST's shapes also the first with bias and ReLU."""
    x, w, y = s.x_shape, s.w_shape, s.y_shape
    arrays, values, window = _noise(x, w, y), _total(x, w, y), s.KH * s.KW
    how: dict[str, Any] = {"stride": s.stride, "padding": s.padding}

    def torch_backward(*wanted: bool) -> Prepare:
        sizes = [s.stride] * 2, [s.padding] * 2, [1, 1], False, [0, 0], 1
        return lambda torch, x, w, g: partial(
            torch.ops.aten.convolution_backward, g, x, w, None, *sizes, wanted
        )

    yield Operation(
        "conv2d forward", s.name, s.flop, values, (s.C * window,), arrays,
        lambda b, x, w, g: lambda: b.conv2d_forward(x, w, **how),
        lambda torch, x, w, g: lambda: torch.conv2d(x, w, **how),
    )  # fmt: skip
    yield Operation(
        "conv2d backward_input", s.name, s.flop, values, (s.F * window,), arrays,
        lambda b, x, w, g: lambda: b.conv2d_backward_input(g, w, s.x_shape, **how),
        torch_backward(True, False, False),
    )  # fmt: skip
    yield Operation(
        "conv2d backward_weight", s.name, s.flop, values, (math.prod(y) // s.F,), arrays,
        lambda b, x, w, g: lambda: b.conv2d_backward_weight(g, x, s.w_shape, **how),
        torch_backward(False, True, False),
    )  # fmt: skip
    if s.group in ("MNIST", "quick"):
        yield Operation(
            "conv2d bias relu", s.name, s.flop, values + s.F, (s.C * window + 1,),
            _noise(x, w, (s.F,)),
            lambda b, x, w, bias: lambda: b.conv2d_forward(x, w, bias, **how, activation="relu"),
            lambda torch, x, w, bias: lambda: torch.conv2d(x, w, bias, **how).relu_(),
        )  # fmt: skip


def _conv2d_relu_pool(s: Convolution) -> Iterator[Operation]:
    """A convolution with bias, ReLU and a 2x2 max pool, and all three gradients of it."""
    N, F, OH, OW = s.y_shape
    y_shape = (N, F, OH // 2, OW // 2)
    x, w, y = map(math.prod, (s.x_shape, s.w_shape, y_shape))
    shapes, window = (s.x_shape, s.w_shape, (F,)), s.KH * s.KW
    how: dict[str, Any] = {"stride": s.stride, "padding": s.padding}
    fused = {**how, "activation": "relu", "pool": (2, 2, 0)}

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

    def torch_backward(torch: Any, x: Any, w: Any, bias: Any, grad_y: Any) -> Callable[[], Any]:
        return _gradients(torch, partial(torch_forward, torch), (x, w, bias), grad_y)

    yield Operation(
        "conv2d pool forward", s.name, s.flop, x + w + F + y, (s.C * window + 1,), _noise(*shapes),
        lambda b, *xs: lambda: b.conv2d_relu_pool_forward(*xs, **fused)[0],
        lambda torch, *xs: partial(torch_forward, torch, *xs),
        nbytes=y,  # an index is a byte
    )  # fmt: skip
    yield Operation(
        "conv2d pool backward", s.name, 2 * s.flop, 2 * (x + w + y) + F,
        (F * window, N * OH * OW, N * OH * OW), integers, backward, torch_backward, nbytes=y,
    )  # fmt: skip


def _gradients(torch: Any, function: Any, leaves: Any, grad_y: Any) -> Callable[[], Any]:
    """PyTorch's call for the gradients of a function by its operands."""
    for leaf in leaves:
        leaf.requires_grad_()
    return partial(torch.autograd.grad, function(*leaves), leaves, grad_y, retain_graph=True)


def _matmul(M: int, N: int, K: int) -> Iterator[Operation]:
    """A dense layer of M images, K inputs and N outputs: forward, and the gradients of x and w."""
    flop, values = 2 * M * N * K, _total((M, K), (K, N), (M, N))
    for name, sizes, a_shape, b_shape in (
        ("matmul", (M, N, K), (M, K), (K, N)),
        ("matmul b^T", (M, K, N), (M, N), (K, N)),  # grad_x = grad_y @ w^T
        ("matmul a^T", (K, N, M), (M, K), (M, N)),  # grad_w = x^T @ grad_y
    ):
        yield _transposed(name, sizes, flop, values, _noise(a_shape, b_shape))
    yield Operation(
        "matmul bias relu", _named((M, N, K)), flop, values + N, (K + 1,),
        _noise((M, K), (K, N), (N,)),
        lambda b, x, w, bias: lambda: b.matmul(x, w, bias=bias, activation="relu"),
        lambda torch, x, w, bias: lambda: torch.addmm(bias, x, w).relu_(),
    )  # fmt: skip


def _transposed(
    name: str, sizes: tuple[int, ...], flop: float, values: float, arrays: Any
) -> Operation:
    how = {"transpose_a": name.endswith("a^T"), "transpose_b": name.endswith("b^T")}
    return Operation(
        name, _named(sizes), flop, values, sizes[2:], arrays,
        lambda backend, a, b: lambda: backend.matmul(a, b, **how),
        lambda torch, a, b: partial(
            torch.mm, a.T if how["transpose_a"] else a, b.T if how["transpose_b"] else b
        ),
    )  # fmt: skip


def _pool(shape: Shape, k: int) -> Iterator[Operation]:
    """Windows of k x k at a stride of 2."""
    N, C, H, W = shape
    y_shape = (N, C, (H - k) // 2 + 1, (W - k) // 2 + 1)
    y, values, taps = math.prod(y_shape), _total(shape, y_shape), k * k
    arrays, case, sizes = _noise(shape, y_shape), f"{_named(shape)} {k}x{k} s2", ([k, k], [2, 2], 0)

    def max_backward(b: Any, x: Any, g: Any) -> Callable[[], Any]:
        _, argmax = b.max_pool2d_forward(x, k, stride=2)
        return lambda: b.max_pool2d_backward(g, argmax, shape, k, stride=2)

    def torch_max_backward(torch: Any, x: Any, g: Any) -> Callable[[], Any]:
        _, index = torch.nn.functional.max_pool2d(x, k, 2, return_indices=True)
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        return lambda: backward(g, x, *sizes[:2], [0, 0], [1, 1], False, index)

    yield Operation(
        "max pool forward", case, taps * y, values, (0,), arrays,
        lambda b, x, g: lambda: b.max_pool2d_forward(x, k, stride=2)[0],
        lambda torch, x, g: lambda: torch.nn.functional.max_pool2d(x, k, 2, return_indices=True),
        nbytes=y,  # an index is a byte
    )  # fmt: skip
    yield Operation(
        "max pool backward", case, y, values, (taps,), arrays, max_backward, torch_max_backward,
        nbytes=y,
    )  # fmt: skip
    yield Operation(
        "avg pool forward", case, (taps + 1) * y, values, (taps,), arrays,
        lambda b, x, g: lambda: b.avg_pool2d_forward(x, k, stride=2),
        lambda torch, x, g: lambda: torch.nn.functional.avg_pool2d(x, k, 2),
    )  # fmt: skip
    yield Operation(
        "avg pool backward", case, taps * y, values, (taps,), arrays,
        lambda b, x, g: lambda: b.avg_pool2d_backward(g, shape, k, stride=2),
        lambda torch, x, g: partial(
            torch.ops.aten.avg_pool2d_backward, g, x, [k, k], [2, 2], [0, 0], False, True, None
        ),
    )  # fmt: skip


def _elementwise(shape: Shape) -> Iterator[Operation]:
    """Passes over images: normalization, ReLU, bias and dropout."""
    size, case, C = math.prod(shape), _named(shape), shape[1:2]
    terms = size // C[0]
    key = stream_key(0, "bench")

    def torch_norm(torch: Any, x: Any, gamma: Any, beta: Any) -> Any:
        norm = torch.nn.functional.batch_norm
        return norm(x, None, None, gamma, beta, training=True, eps=_EPS)

    def norm_backward(b: Any, x: Any, gamma: Any, g: Any) -> Callable[[], Any]:
        _, mean, variance = b.batch_norm_forward(x, gamma, gamma, eps=_EPS)
        return lambda: b.batch_norm_backward(g, x, gamma, mean, variance, eps=_EPS)

    def torch_norm_backward(torch: Any, x: Any, gamma: Any, g: Any) -> Callable[[], Any]:
        leaves = x, gamma, torch.zeros_like(gamma)
        return _gradients(torch, partial(torch_norm, torch), leaves, g)

    yield Operation(
        "batch norm forward", case, 8 * size, 2 * size, (terms,), _noise(shape, C, C),
        lambda b, *xs: lambda: b.batch_norm_forward(*xs, eps=_EPS)[0],
        lambda torch, *xs: partial(torch_norm, torch, *xs),
    )  # fmt: skip
    yield Operation(
        "batch norm backward", case, 11 * size, 3 * size, (terms,) * 3, _noise(shape, C, shape),
        norm_backward, torch_norm_backward,
    )  # fmt: skip
    yield Operation(
        "relu backward", case, size, 3 * size, (0,),
        lambda bench: [bench.noise(*shape), np.maximum(bench.noise(*shape), 0)],
        lambda b, g, y: lambda: b.relu_backward(g, y),
        lambda torch, g, y: lambda: torch.ops.aten.threshold_backward(g, y, 0),
    )  # fmt: skip
    yield Operation(
        "bias grad", case, size, size, (terms,), _noise(shape),
        lambda b, g: lambda: b.bias_grad(g),
        lambda torch, g: lambda: g.sum((0, 2, 3)),
    )  # fmt: skip
    yield Operation(
        "dropout forward", case, size, 2 * size, (4, 0), _noise(shape),
        lambda b, x: lambda: b.dropout_forward(x, _RATE, key=key, step=7),
        lambda torch, x: lambda: torch.ops.aten.native_dropout(x, _RATE, True),
        nbytes=size,  # the mask
    )  # fmt: skip
    yield Operation(
        "dropout backward", case, size, 2 * size, (4,),
        lambda bench: [bench.noise(*shape), (bench.rng.random(shape) >= _RATE).astype(np.uint8)],
        lambda b, g, mask: lambda: b.dropout_backward(g, mask, _RATE),
        lambda torch, g, mask: partial(
            torch.ops.aten.native_dropout_backward, g, mask.bool(), 1 / (1 - _RATE)
        ),
        nbytes=size,
    )  # fmt: skip


def _batch(N: int, images: int) -> Iterator[Operation]:
    """A batch and its loss."""
    size, case = N * _CLASSES, f"{N}x{_CLASSES}"
    terms = _CLASSES

    def logits(bench: Bench) -> list[Array]:
        labels = bench.rng.integers(0, _CLASSES, N, np.int32)
        return [bench.noise(N, _CLASSES), labels, bench.noise(N)]

    def backward(b: Any, logits: Any, labels: Any, g: Any) -> Callable[[], Any]:
        _, probabilities = b.softmax_cross_entropy_forward(logits, labels)
        return lambda: b.softmax_cross_entropy_backward(probabilities, labels, g)

    def torch_loss(torch: Any, labels: Any) -> Callable[..., Any]:
        loss = torch.nn.functional.cross_entropy
        return partial(loss, target=labels.long(), reduction="none")

    yield Operation(
        "cross-entropy forward", case, 4 * size, 2 * size + N, (terms, terms), logits,
        lambda b, x, labels, g: lambda: b.softmax_cross_entropy_forward(x, labels),
        lambda torch, x, labels, g: partial(torch_loss(torch, labels), x),
        nbytes=4 * N,  # the labels
    )  # fmt: skip
    yield Operation(
        "cross-entropy backward", case, 2 * size, 2 * size + N, (terms,), logits, backward,
        lambda torch, x, labels, g: _gradients(torch, torch_loss(torch, labels), (x,), g),
        nbytes=4 * N,
    )  # fmt: skip
    yield gather(N, images)


def gather(N: int, images: int) -> Operation:
    """A batch of N of so many images: bytes become floats."""
    pixels = N * 784
    return Operation(
        "gather", f"{N}x1x28x28", 2 * pixels, pixels, (4,),
        lambda bench: [
            bench.rng.integers(0, 256, (images, 1, 28, 28), np.uint8),
            bench.rng.integers(0, images, N),
        ],
        lambda b, data, indices: lambda: b.gather(data, indices, scale=_SCALE),
        lambda torch, data, indices: lambda: data[indices].float().mul_(_SCALE),
        nbytes=pixels + 8 * N,
    )  # fmt: skip


def _optimizer(size: int) -> Iterator[Operation]:
    """An update in place of so many parameters, from slots that are not zero."""

    def arrays(slots: int) -> Callable[[Bench], list[Array]]:
        return lambda bench: [
            *(bench.noise(size) for _ in range(2)),
            *(np.abs(bench.noise(size)) for _ in range(slots)),
        ]

    def ours(name: str, **options: Any) -> Prepare:
        def prepare(b: Any, param: Any, grad: Any, *slots: Any) -> Callable[[], Any]:
            updated = param.copy(), *(slot.copy() for slot in slots)
            rate = b.asarray(np.array([0.5], np.float32))
            if name == "adam":
                options["step"] = b.asarray(np.array([3], np.uint32))
            update = partial(getattr(b, f"{name}_update"), learning_rate=rate, **options)

            def call() -> tuple[Any, ...]:
                update(updated[0], grad, *updated[1:])
                return updated

            return call

        return prepare

    def theirs(name: str, **options: Any) -> Prepare:
        def prepare(torch: Any, param: Any, grad: Any, *slots: Any) -> Callable[[], Any]:
            parameter = torch.nn.Parameter(param)
            parameter.grad = grad
            return getattr(torch.optim, name)([parameter], lr=0.5, **options).step

        return prepare

    for name, flop, values, slots, call, torch_call in (
        ("sgd", 4, 5, 1, ours("sgd", momentum=0.9), theirs("SGD", momentum=0.9, fused=True)),
        ("rmsprop", 7, 5, 1, ours("rmsprop"), theirs("RMSprop", alpha=0.9, eps=1e-7)),
        ("adam", 12, 7, 2, ours("adam"), theirs("Adam", fused=True)),
    ):
        yield Operation(
            name, f"{size:,}", flop * size, values * size, (16,) * (1 + slots), arrays(slots), call,
            torch_call,
        )  # fmt: skip
