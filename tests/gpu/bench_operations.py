"""Pools, matrix products, batch norm and Adam beside PyTorch, and their share of the roofline."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import record
from timing import Stopwatch, floor, load_torch, noise, ratio, to_torch

from gpucnn import backend as backends

EPS = 2.0**-24
Call = Callable[[], Any]


class Operation(NamedTuple):
    """What is timed; `torch` is None without PyTorch, or where it has no such operation."""

    name: str
    ours: Call
    torch: Call | None
    expected: Call  # the result in float64, on the host
    terms: int  # products or numbers in the longest sum; 0 for none: exact
    flop: float
    nbytes: float


def main() -> None:
    args = record.options(__doc__)
    backend, torch = backends.get(args.device), load_torch()
    watch = Stopwatch(backend, repeats=3 if args.quick else 30)
    ceilings = watch.ceilings()
    print(f"ceilings: {ceilings}", flush=True)
    rows: list[dict[str, Any]] = []
    failures = []
    with backend.computing():
        for operation in operations(backend, torch, args.quick):
            row = _bench(operation, backend, watch, ceilings)
            rows.append(row)
            if not row["error"] <= row["bound"]:
                failures.append(f"{operation.name}: error {row['error']:.2e}")
    record.save(
        args.out,
        "operations",
        {**record.machine(args.device), "ceilings": ceilings, "rows": rows},
    )
    record.finish(failures)


def operations(backend: Any, torch: Any, quick: bool) -> Any:
    """One after the other, so that only the arrays of one are alive."""
    pools = [(2, 4, 8, 2)] if quick else [(128, 64, 24, 2), (1024, 64, 24, 2), (16, 64, 112, 3)]
    for N, C, size, kernel in pools:
        yield from _pools(backend, torch, (N, C, size, size), kernel)
    products = (
        [(4, 10, 17)]
        if quick
        else [
            (64, 10, 784),
            (64, 512, 784),
            (128, 128, 9216),
            (1024, 128, 9216),
            (4096, 4096, 4096),
        ]
    )
    for M, N, K in products:
        yield from _products(backend, torch, M, N, K)
    for shape in [(2, 3, 4, 4)] if quick else [(128, 64, 24, 24), (16, 64, 112, 112)]:
        yield _batch_norm(backend, torch, shape)
    yield _adam(backend, torch, 1000 if quick else 1_199_882)


def _pools(backend: Any, torch: Any, shape: tuple[int, ...], kernel: int) -> Any:
    stride = 2
    x = noise(np.random.default_rng(0), shape)
    mine = backend.asarray(x)
    y, argmax = backend.max_pool2d_forward(mine, kernel, stride=stride)
    # The gradient is y itself: as random as any other.
    nbytes = x.nbytes + 5 * y.size, x.nbytes + 4 * y.size  # an index is a byte
    name = f"{kernel}x{kernel} s{stride} {'x'.join(map(str, shape))}"
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    OH, OW = windows.shape[2:4]

    def routed() -> np.ndarray:
        """Each output to the first maximum of its window."""
        flat = windows.reshape(*windows.shape[:4], -1)
        first = flat.argmax(-1)
        n, c, oh, ow = np.indices(first.shape, sparse=True)
        out = np.zeros(shape)
        at = (n, c, oh * stride + first // kernel, ow * stride + first % kernel)
        np.add.at(out, at, flat.max(-1).astype(np.float64))
        return out

    theirs: dict[str, Call] = {}
    if torch:
        t = to_torch(torch, x, backend)
        F = torch.nn.functional
        forward = lambda: F.max_pool2d(t, kernel, stride, return_indices=True)  # noqa: E731
        out, index = forward()
        theirs = {
            "forward": forward,
            "backward": lambda: torch.ops.aten.max_pool2d_with_indices_backward(
                out, t, [kernel] * 2, [stride] * 2, [0, 0], [1, 1], False, index
            ),
            "average": lambda: F.avg_pool2d(t, kernel, stride),
        }
    assert tuple(y.shape[2:]) == (OH, OW)
    yield Operation(
        f"max pool {name}",
        lambda: backend.max_pool2d_forward(mine, kernel, stride=stride)[0],
        theirs.get("forward"), lambda: windows.max((4, 5)), 0, 0, nbytes[0],
    )  # fmt: skip
    yield Operation(
        f"max pool backward {name}",
        lambda: backend.max_pool2d_backward(y, argmax, shape, kernel, stride=stride),
        theirs.get("backward"), routed, kernel * kernel, 0, nbytes[1],
    )  # fmt: skip
    yield Operation(
        f"avg pool {name}",
        lambda: backend.avg_pool2d_forward(mine, kernel, stride=stride),
        theirs.get("average"), lambda: windows.mean((4, 5), dtype=np.float64),
        kernel * kernel, 0, nbytes[1],
    )  # fmt: skip


def _products(backend: Any, torch: Any, M: int, N: int, K: int) -> Any:
    rng = np.random.default_rng(0)
    for transpose_a, transpose_b in ((False, False), (False, True), (True, False)):
        a = noise(rng, (K, M) if transpose_a else (M, K))
        b = noise(rng, (N, K) if transpose_b else (K, N))
        mine = backend.asarray(a), backend.asarray(b)
        theirs = None
        if torch:
            ta, tb = to_torch(torch, a, backend), to_torch(torch, b, backend)
            ta, tb = ta.T if transpose_a else ta, tb.T if transpose_b else tb
            theirs = lambda ta=ta, tb=tb: torch.mm(ta, tb)  # noqa: E731
        da, db = a.astype(np.float64), b.astype(np.float64)
        expected = lambda da=da, db=db, ta=transpose_a, tb=transpose_b: (  # noqa: E731
            (da.T if ta else da) @ (db.T if tb else db)
        )
        yield Operation(
            f"matmul {M}x{N}x{K} {'T' if transpose_a else 'N'}{'T' if transpose_b else 'N'}",
            lambda mine=mine, ta=transpose_a, tb=transpose_b: backend.matmul(
                *mine, transpose_a=ta, transpose_b=tb
            ),
            theirs, expected, K, 2.0 * M * N * K, 4.0 * (M * K + K * N + M * N),
        )  # fmt: skip


def _batch_norm(backend: Any, torch: Any, shape: tuple[int, ...]) -> Operation:
    x = noise(np.random.default_rng(0), shape)
    mine, ones, zeros = backend.asarray(x), np.ones(shape[1:2], np.float32), np.zeros(shape[1:2])
    gamma, beta = backend.asarray(ones), backend.asarray(zeros.astype(np.float32))

    def expected() -> np.ndarray:
        wide = x.astype(np.float64)
        mean, var = wide.mean((0, 2, 3), keepdims=True), wide.var((0, 2, 3), keepdims=True)
        return (wide - mean) / np.sqrt(var + 1e-5)

    theirs = None
    if torch:
        t = to_torch(torch, x, backend)
        theirs = lambda: torch.nn.functional.batch_norm(t, None, None, training=True)  # noqa: E731
    return Operation(
        f"batch norm {'x'.join(map(str, shape))}",
        lambda: backend.batch_norm_forward(mine, gamma, beta)[0],
        theirs, expected, x.size // shape[1], 0, 3 * x.nbytes,
    )  # fmt: skip


def _adam(backend: Any, torch: Any, size: int) -> Operation:
    """The result that is checked is the first step's; later ones change the same arrays."""
    rng = np.random.default_rng(0)
    start, grad = noise(rng, (size,)), noise(rng, (size,))
    w, g = backend.asarray(start.copy()), backend.asarray(grad)
    m, v = (backend.asarray(np.zeros(size, np.float32)) for _ in range(2))
    rate = backend.asarray(np.array([1e-3], np.float32))
    step = backend.asarray(np.array([1], np.uint32))

    def ours() -> Any:
        backend.adam_update(w, g, m, v, learning_rate=rate, step=step)
        return w

    def expected() -> np.ndarray:
        wide = grad.astype(np.float64)
        return start - np.float64(np.float32(1e-3)) * wide / (np.abs(wide) + 1e-8)

    theirs = None
    if torch:
        parameter = torch.nn.Parameter(to_torch(torch, start.copy(), backend))
        parameter.grad = to_torch(torch, grad, backend)
        theirs = torch.optim.Adam([parameter], lr=1e-3, fused=True).step
    return Operation(f"adam {size:,}", ours, theirs, expected, 16, 0, 4.0 * 7 * size)


def _bench(operation: Operation, backend: Any, watch: Stopwatch, ceilings: Any) -> dict[str, Any]:
    result = backend.to_numpy(operation.ours()).astype(np.float64)
    expected = operation.expected()
    error = float(np.linalg.norm(result - expected) / np.linalg.norm(expected))
    row: dict[str, Any] = {
        "operation": operation.name,
        "error": error,
        "bound": 4 * EPS * math.sqrt(operation.terms),
    }
    if not error <= row["bound"]:
        print(f"{operation.name}: WRONG, error {error:.2e}, bound {row['bound']:.2e}", flush=True)
        return row
    times = watch.compare(
        {"ours": operation.ours} | ({"torch": operation.torch} if operation.torch else {})
    )
    ours = times["ours"]
    least = floor(operation.flop, operation.nbytes, ceilings)
    row["ours"] = ours.as_dict()
    row["gigabytes_per_second"] = operation.nbytes / ours.median / 1e9
    row["tflops"] = operation.flop / ours.median / 1e12
    row["share_of_floor"] = None if least is None else least / ours.median
    line = (
        f"{operation.name:40} {1e6 * ours.median:9.1f} us {row['gigabytes_per_second']:7.1f} GB/s"
    )
    line += f" {row['tflops']:6.2f} TFLOP/s"
    if least is not None:
        line += f" {row['share_of_floor']:4.0%} of floor"
    if "torch" in times:
        row["torch"], row["ratio"] = times["torch"].as_dict(), ratio(ours, times["torch"])
        line += f"  torch {row['torch']['median']:9.1f} us  x{row['ratio']:.2f}"
    print(line, flush=True)
    return row


if __name__ == "__main__":
    main()
