"""Calls of every function of gpucnn.functions, with float64 inputs off the functions' kinks.

A case is (function, inputs): the function takes ``at``, which puts a constant on the device, and
then a Tensor for each input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpucnn import functions as F

Array = np.ndarray[Any, Any]
Case = tuple[Callable[..., Any], list[Array]]

RNG = np.random.default_rng(7)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def positive(*shape: int) -> Array:
    return RNG.uniform(0.5, 2.0, shape)


def off_zero(*shape: int) -> Array:
    return RNG.choice([-1.0, 1.0], shape) * positive(*shape)


def distinct(*shape: int) -> Array:
    """No two elements nearer than 0.1."""
    return 0.1 * RNG.permutation(math.prod(shape)).reshape(shape) - 1.0


def unary(function: Callable[[Any], Any], *inputs: Array) -> list[Case]:
    return [(lambda at, x: function(x), [x]) for x in inputs]


def binary(
    function: Callable[[Any, Any], Any],
    b: Callable[..., Array],
    a: Callable[..., Array] = normal,
) -> list[Case]:
    """Equal shapes, every way to broadcast, a number on either side, both operands the same."""
    shapes = [
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        ((2, 1), (2, 3)),
        ((1, 3), (2, 1)),
        ((4, 2, 3), (2, 1)),
        ((2, 3), ()),
        ((), (2, 3)),
        ((1,), (4, 1)),
    ]
    both: list[Case] = [(lambda at, x, y: function(x, y), [a(*m), b(*n)]) for m, n in shapes]
    return [
        *both,
        (lambda at, x: function(x, 1.5), [a(2, 3)]),
        (lambda at, x: function(1.5, x), [b(2, 3)]),
        (lambda at, x: function(x, x), [b(2, 3)]),
        (lambda at, x: function(x, at(np.full((2, 3), 1.25))), [a(2, 3)]),
    ]


def between(*shape: int) -> Array:
    """Numbers that lie between those of `distinct`."""
    return distinct(*shape) + 0.05


def reduction(function: Callable[..., Any], make: Callable[..., Array]) -> list[Case]:
    options: list[dict[str, Any]] = [
        {},
        {"axis": 0},
        {"axis": -1},
        {"axis": (0, 2)},
        {"axis": (1, -1), "keepdims": True},
        {"keepdims": True},
    ]
    return [(lambda at, x, o=o: function(x, **o), [make(2, 3, 4)]) for o in options]


def images(function: Callable[..., Any], *options: dict[str, Any]) -> list[Case]:
    return [(lambda at, x, o=o: function(x, **o), [distinct(2, 2, 5, 6)]) for o in options]


POOLS: list[dict[str, Any]] = [
    {"kernel": 2},
    {"kernel": (3, 2), "stride": 1},
    {"kernel": 3, "stride": 2, "padding": ((2, 0), (1, 1))},
    {"kernel": 2, "padding": "same"},
]
CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)},
    {"padding": "same", "activation": "relu"},
]


def reductions_of_loss(
    loss: Callable[..., Any], *inputs: Callable[[], Array], constant: Array | None = None
) -> list[Case]:
    """The loss of the inputs, and of a constant target if there is one, reduced in each way."""

    def case(reduction: str) -> Case:
        def function(at: Callable[[Array], Any], *x: Any) -> Any:
            targets = [] if constant is None else [at(constant)]
            return loss(*x, *targets, reduction=reduction)

        return function, [make() for make in inputs]

    return [case(reduction) for reduction in ("mean", "sum", "none")]


def soft_targets() -> Array:
    return RNG.dirichlet(np.ones(4), 5)


CASES: dict[str, list[Case]] = {
    "add": binary(F.add, normal),
    "sub": binary(F.sub, normal),
    "mul": binary(F.mul, normal),
    "div": binary(F.div, off_zero),
    "neg": unary(F.neg, normal(2, 3), normal()),
    "power": [
        (lambda at, x: F.power(x, 3), [normal(2, 3)]),
        (lambda at, x: F.power(x, 2), [np.zeros((2, 3))]),
        (lambda at, x: F.power(x, 1), [normal(2, 3)]),
        (lambda at, x: F.power(x, 0.5), [positive(2, 3)]),
        (lambda at, x: F.power(x, -1.5), [positive(2, 3)]),
    ],
    "matmul": [
        (lambda at, a, b: F.matmul(a, b), [normal(3, 4), normal(4, 2)]),
        (lambda at, a: F.matmul(a, a), [normal(3, 3)]),
        (lambda at, a, b: F.matmul(a.T, b), [normal(4, 3), normal(4, 2)]),
        (lambda at, a: F.matmul(a, at(np.eye(4))), [normal(1, 4)]),
    ],
    "exp": unary(F.exp, normal(2, 3)),
    "log": unary(F.log, positive(2, 3)),
    "sqrt": unary(F.sqrt, positive(2, 3)),
    "sin": unary(F.sin, normal(2, 3)),
    "cos": unary(F.cos, normal(2, 3)),
    "sum": reduction(F.sum, normal),
    "mean": reduction(F.mean, normal),
    "max": reduction(F.max, distinct),
    "reshape": [
        (lambda at, x: F.reshape(x, 6, 2), [normal(3, 4)]),
        (lambda at, x: F.reshape(x, (2, -1)), [normal(3, 4)]),
        (lambda at, x: F.reshape(x, -1), [normal(3, 4).T.copy().T]),
    ],
    "transpose": [
        (lambda at, x: F.transpose(x), [normal(2, 3, 4)]),
        (lambda at, x: F.transpose(x, 1, 2, 0), [normal(2, 3, 4)]),
        (lambda at, x: F.transpose(x, (2, 0, -2)), [normal(2, 3, 4)]),
    ],
    "getitem": [
        (lambda at, x, i=index: F.getitem(x, i), [normal(4, 5)])
        for index in (
            2,
            -1,
            slice(1, 3),
            slice(None, None, -2),
            (slice(None), 1),
            (Ellipsis, slice(0, 2)),
            (None, 1),
            (1, 2),
            [0, 2, 0],
            np.array([1, 1, 3]),
            (np.array([0, 0, 3]), np.array([4, 4, 1])),
            (slice(1, None), np.array([2, 2])),
            np.arange(20).reshape(4, 5) % 3 == 0,
        )
    ],
    "tanh": unary(F.tanh, normal(2, 3)),
    "sigmoid": unary(F.sigmoid, 3 * normal(2, 3)),
    "relu": unary(F.relu, off_zero(3, 4)),
    "leaky_relu": [
        (lambda at, x: F.leaky_relu(x), [off_zero(3, 4)]),
        (lambda at, x: F.leaky_relu(x, 0.3), [off_zero(3, 4)]),
    ],
    "gelu": unary(F.gelu, 2 * normal(3, 4)),
    "softmax": [(lambda at, x, a=axis: F.softmax(x, a), [normal(3, 4, 2)]) for axis in (-1, 0, 1)],
    "log_softmax": [
        (lambda at, x, a=axis: F.log_softmax(x, a), [normal(3, 4, 2)]) for axis in (-1, 0, 1)
    ],
    "conv2d": [
        *(
            (
                lambda at, x, w, b, o=o: F.conv2d(x, w, b, **o),
                [normal(2, 3, 6, 5), normal(4, 3, 3, 2), normal(4)],
            )
            for o in CONVOLUTIONS
        ),
        (
            lambda at, x, w: F.conv2d(x, w, groups=3, padding=1),
            [normal(2, 3, 4, 4), normal(6, 1, 3, 3)],
        ),
    ],
    "linear": [
        (lambda at, x, w: F.linear(x, w), [normal(3, 4), normal(4, 2)]),
        (lambda at, x, w, b: F.linear(x, w, b), [normal(3, 4), normal(4, 2), normal(2)]),
        (
            lambda at, x, w, b: F.linear(x, w, b, activation="relu"),
            [normal(3, 4), normal(4, 5), normal(5)],
        ),
    ],
    "max_pool2d": images(F.max_pool2d, *POOLS),
    "avg_pool2d": images(F.avg_pool2d, *POOLS, *({**o, "count_include_pad": False} for o in POOLS)),
    "global_avg_pool2d": images(F.global_avg_pool2d, {}),
    "batch_norm": [
        (
            lambda at, x, gamma, beta: F.batch_norm(x, gamma, beta)[0],
            [normal(*shape), normal(3), normal(3)],
        )
        for shape in ((4, 3, 2, 5), (6, 3))
    ],
    "batch_norm_inference": [
        (
            lambda at, x, gamma, beta: F.batch_norm_inference(
                x, gamma, beta, at(np.array([0.1, -1.0, 2.0])), at(np.array([0.5, 1.0, 2.0]))
            ),
            [normal(*shape), normal(3), normal(3)],
        )
        for shape in ((4, 3, 2, 5), (6, 3))
    ],
    "layer_norm": [
        (
            lambda at, x, gamma, beta: F.layer_norm(x, gamma, beta, eps=1e-3),
            [normal(*shape), normal(5), normal(5)],
        )
        for shape in ((4, 5), (2, 3, 5))
    ],
    "dropout": [(lambda at, x: F.dropout(x, 0.4, key=(1, 2), step=3), [normal(4, 5)])],
    "flatten": unary(F.flatten, normal(2, 3, 4, 1), normal(2, 3)),
    "softmax_cross_entropy": [
        *reductions_of_loss(
            F.softmax_cross_entropy, lambda: normal(5, 4), constant=np.array([3, 0, 1, 1, 2])
        ),
        *reductions_of_loss(F.softmax_cross_entropy, lambda: normal(5, 4), soft_targets),
        *reductions_of_loss(F.softmax_cross_entropy, lambda: normal(5, 4), lambda: positive(5, 4)),
    ],
    "binary_cross_entropy_with_logits": reductions_of_loss(
        F.binary_cross_entropy_with_logits,
        lambda: off_zero(3, 4),
        lambda: RNG.uniform(0.1, 0.9, (3, 4)),
    ),
    "mean_squared_error": [
        *reductions_of_loss(F.mean_squared_error, lambda: normal(3, 4), lambda: normal(3, 4)),
        (lambda at, x, t: F.mean_squared_error(x, t, half=True), [normal(5), normal(5)]),
    ],
    # Below those above, so that these keep their random numbers.
    "abs": unary(F.abs, off_zero(3, 4)),
    "clip": [
        (lambda at, x, o=o: F.clip(x, **o), [between(3, 4)])
        for o in ({"low": -0.5}, {"high": -0.3}, {"low": -0.7, "high": -0.2})
    ],
    "maximum": binary(F.maximum, between, distinct),
    "minimum": binary(F.minimum, between, distinct),
    "min": reduction(F.min, distinct),
    "concat": [
        (lambda at, x, y: F.concat([x, y]), [normal(2, 3), normal(4, 3)]),
        (lambda at, x, y, z: F.concat((x, y, z), axis=-1), [normal(2, n) for n in (1, 3, 2)]),
        (lambda at, x, y: F.concat([x, y], 1), [normal(2, 0, 3), normal(2, 2, 3)]),
        (lambda at, x: F.concat([x, at(np.ones((1, 3))), x]), [normal(2, 3)]),
        (lambda at, x: F.concat([x]), [normal(3)]),
    ],
    "stack": [
        (lambda at, x, y, a=axis: F.stack([x, y], a), [normal(2, 3), normal(2, 3)])
        for axis in (0, 1, 2, -1)
    ]
    + [(lambda at, x, y: F.stack([x, y, x]), [normal(), normal()])],
}
CASES["matmul"] += [
    (lambda at, a, b: F.matmul(a, b), [normal(3, 4), normal(4)]),
    (lambda at, a, b: F.matmul(a, b), [normal(3), normal(3, 4)]),
    (lambda at, a, b: F.matmul(a, b), [normal(5), normal(5)]),
    (lambda at, a: F.matmul(a, a), [normal(5)]),
    (lambda at, a: F.matmul(at(np.arange(6.0).reshape(2, 3)), a), [normal(3)]),
    (lambda at, a: F.matmul(a, at(np.arange(3.0))), [normal(1, 3)]),
]
CASES["softmax"] += unary(F.softmax, normal(4))
CASES["log_softmax"] += unary(F.log_softmax, normal(4))
CASES["softmax_cross_entropy"] += [
    *reductions_of_loss(F.softmax_cross_entropy, lambda: normal(4), constant=np.array(2)),
    *reductions_of_loss(F.softmax_cross_entropy, lambda: normal(4), lambda: positive(4)),
]
CASES["avg_pool2d"] += images(F.avg_pool2d, {"kernel": (2, 3), "padding": "same", "stride": (2, 1)})
