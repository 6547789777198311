"""One typical call of every primitive: for tests that go over all of them.

The sizes are such that a batch of ``images`` is worked on in several chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
KEY = (0x12345678, 0x9ABCDEF0)


def is_in_place(name: str) -> bool:
    """Whether a call changes its arguments, which must then be arrays that can be changed."""
    return name.endswith("_update") or name in (
        "accumulate_metrics", "begin_step", "clip_grad_norm", "increment"
    )  # fmt: skip


class Calls:
    """``Calls(asarray, images).calls[name](owner)`` calls ``owner.<name>`` and returns a tuple.

    Primitives that work in place return the arrays that they changed.
    """

    def __init__(self, asarray: Callable[[Array], Any], images: int = 6, dtype: Any = "float32"):
        rng = np.random.default_rng(1)
        n, classes = images, 10

        def normal(*shape: int) -> Any:
            return asarray(rng.standard_normal(shape).astype(dtype))

        def u32(value: int) -> Any:
            return asarray(np.array([value], dtype=np.uint32))

        x, w, b = normal(n, 4, 14, 14), normal(6, 2, 3, 3), normal(6)
        y, pooled = normal(n, 6, 7, 7), normal(n, 4, 7, 7)
        conv = {"stride": 2, "padding": 1, "groups": 2}
        pool = {"stride": 2, "padding": ((0, 1), (1, 0))}
        logits, losses = normal(n, classes), normal(n)
        labels = asarray(rng.integers(0, classes, n).astype(np.int32))
        probabilities = asarray(rng.dirichlet(np.ones(classes), n).astype(dtype))
        gamma, beta, mean = normal(4), normal(4), normal(4)
        var = asarray(rng.uniform(0.5, 2.0, 4).astype(dtype))
        mask = asarray(rng.integers(0, 2, x.shape).astype(np.uint8))
        images_u8 = asarray(rng.integers(0, 256, (50, 1, 9, 9)).astype(np.uint8))
        indices = asarray(rng.integers(0, 50, n).astype(np.int64))
        order = asarray(rng.permutation(n + 5).astype(np.int32))
        rates = asarray(rng.random(3).astype(np.float32))
        rate = asarray(np.array([0.01], dtype=np.float32))
        grad, weight, bias = normal(37, 53), normal(classes, 9), normal(9)
        start = rng.standard_normal((37, 53)).astype(dtype)
        grad_x, grad_y = normal(*x.shape), normal(*y.shape)

        def slots(count: int) -> list[Any]:
            return [asarray(start.copy())] + [asarray(np.abs(start)) for _ in range(count)]

        def sgd(owner: Any) -> tuple[Any, ...]:
            w, v = slots(1)
            owner.sgd_update(w, grad, v, learning_rate=rate, momentum=0.9, weight_decay=0.01)
            return w, v

        def rmsprop(owner: Any) -> tuple[Any, ...]:
            w, s = slots(1)
            owner.rmsprop_update(w, grad, s, learning_rate=rate)
            return w, s

        def adam(owner: Any) -> tuple[Any, ...]:
            w, m, v = slots(2)
            owner.adam_update(w, grad, m, v, learning_rate=rate, step=u32(3))
            return w, m, v

        def block(o: Any) -> tuple[Any, Any]:
            options = {**conv, "activation": "relu", "pool": (2, None, 0)}
            return o.conv2d_relu_pool_forward(x, w, b, **options)

        def block_backward(o: Any) -> tuple[Any, ...]:
            y, argmax = block(o)
            return o.conv2d_relu_pool_backward(y, x, w, y, argmax, **conv, pool=(2, None, 0))

        def metrics(owner: Any) -> tuple[Any, ...]:
            totals, step, found_inf = asarray(np.array([1.5, 2.0])), u32(3), u32(0)
            counted = {"step": step, "found_inf": found_inf}
            owner.accumulate_metrics(totals, losses, logits, labels, **counted)
            return totals, step, found_inf

        def begin(owner: Any) -> tuple[Any, ...]:
            place, picked = u32(2), asarray(np.zeros(n, np.int32))
            learning_rate = asarray(np.zeros(1, np.float32))
            lookup = {"rates": rates, "step": u32(1), "learning_rate": learning_rate}
            owner.begin_step(place, order, picked, **lookup)
            return place, picked, learning_rate

        def increment(owner: Any) -> tuple[Any, ...]:
            counter = u32(41)
            owner.increment(counter)
            return (counter,)

        def clip(owner: Any) -> tuple[Any, ...]:
            halted, step, found_inf = u32(0), u32(3), u32(1)
            grads, norm = owner.clip_grad_norm(
                [grad, losses], 2.0, halted=halted, step=step, found_inf=found_inf
            )
            return *grads, norm, step, found_inf

        self.calls: dict[str, Callable[[Any], tuple[Any, ...]]] = {
            "conv2d_forward": lambda o: (o.conv2d_forward(x, w, b, **conv, activation="relu"),),
            "conv2d_backward_input": lambda o: (o.conv2d_backward_input(y, w, x.shape, **conv),),
            "conv2d_backward_weight": lambda o: (o.conv2d_backward_weight(y, x, w.shape, **conv),),
            "bias_grad": lambda o: (o.bias_grad(y),),
            "conv2d_relu_pool_forward": lambda o: block(o)[:1],
            "conv2d_relu_pool_backward": block_backward,
            "max_pool2d_forward": lambda o: o.max_pool2d_forward(x, 3, **pool)[:1],
            "max_pool2d_backward": lambda o: (
                o.max_pool2d_backward(
                    o.max_pool2d_forward(x, 2)[0], o.max_pool2d_forward(x, 2)[1], x.shape, 2
                ),
            ),
            "avg_pool2d_forward": lambda o: (o.avg_pool2d_forward(x, 2),),
            "avg_pool2d_backward": lambda o: (o.avg_pool2d_backward(pooled, x.shape, 2),),
            "matmul": lambda o: (
                o.matmul(logits, weight, bias=bias, activation="relu"),
                o.matmul(logits, logits, transpose_a=True),
            ),
            "relu_backward": lambda o: (o.relu_backward(grad_y, y),),
            "softmax_cross_entropy_forward": lambda o: o.softmax_cross_entropy_forward(
                logits, labels
            ),
            "softmax_cross_entropy_backward": lambda o: (
                o.softmax_cross_entropy_backward(probabilities, labels, losses),
            ),
            "batch_norm_forward": lambda o: o.batch_norm_forward(x, gamma, beta),
            "batch_norm_backward": lambda o: o.batch_norm_backward(grad_x, x, gamma, mean, var),
            "dropout_forward": lambda o: o.dropout_forward(x, 0.4, key=KEY, step=u32(7)),
            "dropout_backward": lambda o: (o.dropout_backward(x, mask, 0.4),),
            "gather": lambda o: (o.gather(images_u8, indices, scale=1 / 255, offset=-0.5),),
            "gather_rows": lambda o: (o.gather_rows(logits, indices),),
            "begin_step": begin,
            "increment": increment,
            "accumulate_metrics": metrics,
            "clip_grad_norm": clip,
            "sgd_update": sgd,
            "rmsprop_update": rmsprop,
            "adam_update": adam,
        }
