"""Runs the compiled primitives on arrays that end, or begin, where the process may not read.

    python guarded.py start|end CASES [SEED]        what it does is printed before it is done
    python guarded.py overrun                       proof that it would be noticed

Compiled loops check no bounds. So every array that they get stands at the edge of a page that is
not to be touched: what is given to them, results, scratch and the tables of a plan. An access
beyond ends the process by a signal. Scratch is new in each call, and all ones: NaN as floats.
Results are sums of small integers, which are exact, and are compared with the oracle's.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from calls import Calls
from reference import Taps

from gpucnn.backend.cpu import parallel
from gpucnn.backend.numba import (
    activation,
    convolution,
    dense,
    dropout,
    elementwise,
    jit,
    loss,
    pooling,
)
from gpucnn.backend.numba.backend import CompiledBackend
from gpucnn.backend.numba.direct import loops as direct_loops
from gpucnn.backend.numba.direct import plan as direct_plan
from gpucnn.backend.numba.llvm.vectors import LANES
from gpucnn.backend.numba.winograd import loops as winograd_loops
from gpucnn.backend.numba.winograd import plan as winograd_plan
from gpucnn.shapes import conv2d_geometry

MODULES = (
    activation, convolution, dense, dropout, elementwise, jit, loss, pooling,
    direct_loops, direct_plan, winograd_loops, winograd_plan,
)  # fmt: skip
PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Edge:
    """NumPy, but for functions that make an array: theirs lie at the edge of a page."""

    def __init__(self, at_end: bool) -> None:
        self.at_end = at_end

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = float) -> Any:
        dtype = np.dtype(dtype)
        nbytes = int(np.prod(shape)) * dtype.itemsize
        size = -(-nbytes // PAGE) * PAGE or PAGE
        memory = mmap.mmap(-1, size + 2 * PAGE)
        whole = np.frombuffer(memory, np.uint8)
        whole[:] = 255
        for page in (0, PAGE + size):
            if LIBC.mprotect(whole.ctypes.data + page, PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        first = PAGE + (size - nbytes if self.at_end else 0)
        return whole[first : first + nbytes].view(dtype).reshape(shape)

    def zeros(self, shape: Any, dtype: Any = float) -> Any:
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def array(self, values: Any, dtype: Any = None) -> Any:
        values = np.asarray(values, dtype)
        array = self.empty(values.shape, values.dtype)
        array[...] = values
        return array

    def ascontiguousarray(self, values: Any, dtype: Any = None) -> Any:
        return self.array(values, dtype)

    def require(self, values: Any, dtype: Any = None, requirements: Any = None) -> Any:
        return self.array(values, dtype)

    def scratch(self, name: str, shape: Any, dtype: Any) -> Any:
        return self.empty(shape, dtype)


def stand_at(edge: Edge) -> None:
    """Have the compiled primitives make their arrays there."""
    for module in MODULES:
        for name in ("np", "scratch"):
            if hasattr(module, name):
                value = edge if name == "np" else edge.scratch
                setattr(module, name, value)
    made = winograd_plan._plan

    def plan_at_edge(*arguments: Any) -> Any:
        found = made(*arguments)  # its offsets are a product, which is NumPy's own array
        return found and found._replace(loops=(edge.array(found.loops[0]), *found.loops[1:]))

    winograd_plan._plan = plan_at_edge
    # Small arrays make several chunks as well.
    elementwise._CHUNK = convolution._SUMMED = 1 << 8
    convolution._FLOPS = 1 << 12


def cut(rng: np.random.Generator) -> str:
    """Sizes of units, and whether 3x3 taps go by minimal filtering: never, always or by size."""
    direct_plan._PACKED = direct_plan._PACKED_BOTH = int(rng.choice([96 << 10, 64, 700, 3000]))
    channels, tiles = ((1 << 30, 1), (1, 1), (16, 64))[rng.choice(3, p=(0.2, 0.6, 0.2))]
    winograd_plan._CHANNELS, winograd_plan._TILES = channels, tiles
    winograd_plan._LEAST = int(rng.choice([10, 40, 200]))
    transformed = winograd_plan._TRANSFORMED = 1 << rng.integers(19)
    winograd_loops._CHUNK = int(rng.choice([1, 1 << 14]))
    for module in (direct_plan, winograd_plan):
        module.forward_plan.cache_clear()
        module.backward_plan.cache_clear()
    return f"units of {direct_plan._PACKED}, of {transformed} from {channels} channels on"


def convolve(backend: CompiledBackend, rng: np.random.Generator, edge: Any) -> None:
    """A convolution with all that can stand around it; every other one may be filtered."""
    groups, filtered = int(rng.choice([1, 1, 2])), rng.random() < 0.5
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, top, 2))) for top in (5, 4, 4))
    if filtered or rng.random() < 0.5:
        stride, dilation = (1, 1), (1, 1)
    if filtered:
        kernel = (3, 3)
    N, C, F = (int(rng.integers(1, top)) for top in ((5, 41, 41) if filtered else (5, 10, 20)))
    padding = tuple(tuple(map(int, rng.integers(0, 5 if filtered else 7, 2))) for _ in range(2))
    if rng.random() < 0.5:
        padding = ((0, 0), (0, 0))
    spare = 9, 60
    if filtered and rng.random() < 0.3:  # of so many, several make a unit
        N, spare = int(rng.integers(8, 16)), (9, 12)
    H, W = (
        max(1, d * (k - 1) + 1 - sum(sides)) + int(rng.integers(0, more))
        for k, d, sides, more in zip(kernel, dilation, padding, spare, strict=True)
    )
    x_shape, w_shape = (N, groups * C, H, W), (groups * F, C, *kernel)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    print(f"x {x_shape} w {w_shape} {options} {cut(rng)}", flush=True)

    def draw(shape: Any) -> Any:
        return edge.array(rng.integers(-3, 4, shape), np.float32)

    taps = Taps(x_shape, w_shape, **options)
    x, w, b, g = (draw(shape) for shape in (x_shape, w_shape, w_shape[:1], taps.y_shape))
    y = backend.conv2d_forward(x, w, b, **options)
    assert (y == taps.forward(x, w) + b[:, None, None]).all(), "forward"
    grad_x, grad_w = taps.backward_input(g, w), taps.backward_weight(g, x)
    assert (backend.conv2d_backward_input(g, w, x_shape, **options) == grad_x).all(), "input"
    assert (backend.conv2d_backward_weight(g, x, w_shape, **options) == grad_w).all(), "weight"
    for pool in (None, (2, None, 0)):
        if pool and min(taps.OH, taps.OW) < 2:
            continue
        best, argmax = backend.conv2d_relu_pool_forward(
            x, w, b, **options, activation="relu", pool=pool
        )
        relu = edge.array(np.maximum(y, 0))
        want, places = backend.max_pool2d_forward(relu, 2) if pool else (relu, None)
        assert (best == want).all(), "block"
        g = draw(best.shape)
        back = backend.relu_backward(g, best)
        if pool:
            back = backend.max_pool2d_backward(back, places, y.shape, 2)
        found = backend.conv2d_relu_pool_backward(g, x, w, best, argmax, **options, pool=pool)
        assert (found[0] == taps.backward_input(back, w)).all(), "input of the block"
        assert (found[1] == taps.backward_weight(back, x)).all(), "weight of the block"
        assert (found[2] == back.sum((0, 2, 3))).all(), "bias of the block"


def others(backend: CompiledBackend, rng: np.random.Generator, edge: Any) -> None:
    """Every other primitive, on some shape."""
    N, C, H, W = (int(rng.integers(1, top)) for top in (5, 7, 20, 70))
    print(f"others {(N, C, H, W)}", flush=True)

    def draw(*shape: int) -> Any:
        return edge.array(rng.integers(-3, 4, shape), np.float32)

    x, g = draw(N, C, H, W), draw(N, C, H, W)
    assert (backend.relu_backward(g, x) == np.where(x > 0, g, 0)).all()
    assert (backend.bias_grad(g) == g.sum((0, 2, 3))).all()
    assert (backend.bias_grad(g[..., 0, 0]) == g[..., 0, 0].sum(0)).all()
    y, mask = backend.dropout_forward(x, 0.5, key=(1, 2), step=3)
    assert (y == 2 * x * mask).all()
    assert (backend.dropout_backward(g, mask, 0.5) == 2 * g * mask).all()
    labels = rng.integers(0, W, H).astype(np.int32)
    losses, probabilities = backend.softmax_cross_entropy_forward(x[0, 0], labels)
    assert np.isfinite(losses).all()
    assert np.allclose(probabilities.sum(1), 1)
    if min(H, W) >= 2:
        y, argmax = backend.max_pool2d_forward(x, 2)
        even = x[..., : H // 2 * 2, : W // 2 * 2]
        windows = even.reshape(N, C, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5)
        windows = windows.reshape(*y.shape, 4)
        assert (y == windows.max(-1)).all()
        assert (argmax == windows.argmax(-1)).all()
        grad = backend.max_pool2d_backward(y, argmax, x.shape, 2)
        assert grad.sum() == y.sum()
    multiply(backend, rng, draw)
    w, v, s = draw(N, C, H, W), draw(N, C, H, W), abs(x)
    for momentum in (0, 0.5):
        backend.sgd_update(w, g, v, learning_rate=0.5, momentum=momentum, weight_decay=0.5)
    backend.rmsprop_update(w, g, edge.array(s), learning_rate=0.5)
    backend.adam_update(w, g, v, edge.array(s), learning_rate=0.5, step=1)
    assert np.isfinite(w).all()


def multiply(backend: CompiledBackend, rng: np.random.Generator, draw: Any) -> None:
    """One row by a matrix, of columns that are a few, or make up vectors and blocks of them."""
    K, N = int(rng.integers(0, 40)), int(rng.integers(0, (2, LANES, 20 * LANES)[rng.integers(3)]))
    print(f"multiply {K, N}", flush=True)
    a, b, bias = draw(1, K), draw(K, N), draw(N)
    assert (backend.matmul(a, b) == a @ b).all()
    fused = backend.matmul(a, b, bias=bias, activation="relu")
    assert (fused == np.maximum(a @ b + bias, 0)).all()


def main(place: str, cases: str = "0", seed: str = "0") -> None:
    edge = Edge(place != "start")
    if place == "overrun":
        array = edge.zeros(5, np.float32)
        ctypes.c_float.from_address(array.ctypes.data + array.nbytes).value = 1.0
    parallel.set_threads(2)
    backend, rng = CompiledBackend(), np.random.default_rng(int(seed))
    # All is compiled before NumPy is another, as the compiler would see that.
    for call in Calls(np.asarray).calls.values():
        call(backend)
    assert winograd_plan.forward_plan(conv2d_geometry((1, 16, 18, 18), (16, 16, 3, 3), 1, 0, 1, 1))
    backend.conv2d_forward(np.ones((1, 16, 18, 18), "f4"), np.ones((16, 16, 3, 3), "f4"))
    others(backend, rng, np)
    stand_at(edge)
    for _ in range(int(cases)):
        convolve(backend, rng, edge)
        others(backend, rng, edge)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
