"""The primitives that are sums of products: convolution and matrix product."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.bench import verify
from gpucnn.bench.cases import Case, work
from gpucnn.bench.shapes import Convolution, suite

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench, Work

# (M, N, K) of dense layers of the models, forward and both gradients; and a large one.
_DENSE = {
    "quick": ((8, 10, 49),),
    "mnist": ((128, 10, 784), (128, 512, 784), (128, 128, 9216), (1024, 128, 9216)),
    "deepbench": ((128, 512, 784), (128, 128, 9216), (1024, 128, 9216), (4096, 4096, 4096)),
}


def cases(of_suite: str) -> list[Case]:
    """Those of a suite."""
    found = [case for shape in suite(of_suite) for case in _convolution(shape)]
    return found + [case for sizes in _DENSE[of_suite] for case in _dense(*sizes)]


def _convolution(s: Convolution) -> list[Case]:
    """The three passes, and the first again with bias and ReLU."""
    values = float(sum(map(math.prod, (s.x_shape, s.w_shape, s.y_shape))))
    found = [
        Case(f"conv2d {name}", s.name, s.flop, values, functools.partial(_pass, s=s, name=name))
        for name in ("forward", "backward_input", "backward_weight")
    ]
    if s.group in ("MNIST", "quick"):
        fused = functools.partial(_with_bias_and_relu, s=s)
        found.append(Case("conv2d bias relu", s.name, s.flop, values + s.F, fused))
    return found


def _pass(bench: Bench, s: Convolution, name: str) -> Work:
    x, w, grad_y = (bench.noise(*shape) for shape in (s.x_shape, s.w_shape, s.y_shape))
    b, rng = bench.backend, bench.rng
    X, W, G = map(b.asarray, (x, w, grad_y))
    how: dict[str, Any] = {"stride": s.stride, "padding": s.padding}

    def torch_call(torch: Any, x: Any, w: Any, grad_y: Any) -> Any:
        if name == "forward":
            return lambda: torch.conv2d(x, w, **how)
        wanted = [name == "backward_input", name == "backward_weight", False]
        sizes = [s.stride] * 2, [s.padding] * 2, [1, 1], False, [0, 0], 1
        return lambda: torch.ops.aten.convolution_backward(grad_y, x, w, None, *sizes, wanted)

    run, oracle = {
        "forward": (
            lambda: b.conv2d_forward(X, W, **how),
            lambda: verify.conv2d_forward(s, x, w, rng),
        ),
        "backward_input": (
            lambda: b.conv2d_backward_input(G, W, s.x_shape, **how),
            lambda: verify.conv2d_backward_input(s, grad_y, w, rng),
        ),
        "backward_weight": (
            lambda: b.conv2d_backward_weight(G, X, s.w_shape, **how),
            lambda: verify.conv2d_backward_weight(s, grad_y, x, rng),
        ),
    }[name]
    return work(bench, run, oracle, verify.terms(s)[name], torch_call, (x, w, grad_y))


def _with_bias_and_relu(bench: Bench, s: Convolution) -> Work:
    x, w, bias = bench.noise(*s.x_shape), bench.noise(*s.w_shape), bench.noise(s.F)
    ours = tuple(map(bench.backend.asarray, (x, w, bias)))
    how: dict[str, Any] = {"stride": s.stride, "padding": s.padding}

    def oracle() -> verify.Expected:
        values, at = verify.conv2d_forward(s, x, w, bench.rng)
        shift = bias[:, None, None] if at is ... else bias[at[1]]
        return verify.Expected(np.maximum(values + shift, 0), at)

    return work(
        bench,
        lambda: bench.backend.conv2d_forward(*ours, **how, activation="relu"),
        oracle,
        verify.terms(s)["forward"] + 1,
        lambda torch, x, w, bias: lambda: torch.conv2d(x, w, bias, **how).relu_(),
        (x, w, bias),
    )


def _dense(M: int, N: int, K: int) -> list[Case]:
    """A layer of M images, K inputs and N outputs: forward, and the gradients of x and of w."""
    flop, values = 2.0 * M * N * K, float(M * K + K * N + M * N)
    found = []
    for name, transposed, sizes in (
        ("matmul", (False, False), (M, N, K)),
        ("matmul b^T", (False, True), (M, K, N)),  # grad_x = grad_y @ w^T
        ("matmul a^T", (True, False), (K, N, M)),  # grad_w = x^T @ grad_y
    ):
        prepare = functools.partial(_product, sizes=sizes, transposed=transposed)
        found.append(Case(name, "{}x{}x{}".format(*sizes), flop, values, prepare))
    fused = functools.partial(_product, sizes=(M, N, K), fused=True)
    return [*found, Case("matmul bias relu", f"{M}x{N}x{K}", flop, values + N, fused)]


def _product(
    bench: Bench,
    sizes: tuple[int, int, int],
    transposed: tuple[bool, bool] = (False, False),
    fused: bool = False,
) -> Work:
    """c (M, N) of op(a) (M, K) and op(b) (K, N); `fused` adds a bias and ends in a ReLU."""
    M, N, K = sizes
    a = bench.noise(*((K, M) if transposed[0] else (M, K)))
    b = bench.noise(*((N, K) if transposed[1] else (K, N)))
    bias = bench.noise(N)
    A, B, C = map(bench.backend.asarray, (a, b, bias))
    how: dict[str, Any] = {"transpose_a": transposed[0], "transpose_b": transposed[1]}
    if fused:
        how |= {"bias": C, "activation": "relu"}

    def oracle() -> verify.Expected:
        left, right = a.T if transposed[0] else a, b.T if transposed[1] else b
        values, at = verify.matmul(left, right, bench.rng)
        if not fused:
            return verify.Expected(values, at)
        return verify.Expected(np.maximum(values + (bias if at is ... else bias[at[1]]), 0), at)

    def torch_call(torch: Any, a: Any, b: Any, bias: Any) -> Any:
        a, b = a.T if transposed[0] else a, b.T if transposed[1] else b
        if fused:
            return lambda: torch.addmm(bias, a, b).relu_()
        return lambda: torch.mm(a, b)

    run = functools.partial(bench.backend.matmul, A, B, **how)
    return work(bench, run, oracle, K + fused, torch_call, (a, b, bias))
