"""The three passes of convolution over the shapes of DeepBench, beside PyTorch.

A result is checked before it is timed: against PyTorch in float64, or without it against our own
naive kernels in float64. PyTorch may use NCHW or channels_last, whichever is faster.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import record
from deepbench import SHAPES, Convolution
from timing import Stopwatch, Times, floor, load_torch, noise, ratio, to_torch

from gpucnn import backend as backends

EPS = 2.0**-24
PASSES = ("forward", "backward_input", "backward_weight")


def main() -> None:
    args = record.options(__doc__)
    deadline = time.monotonic() + args.seconds
    backend, torch = backends.get(args.device), load_torch()
    watch = Stopwatch(backend, repeats=3 if args.quick else 20)
    ceilings = watch.ceilings()
    print(f"ceilings: {ceilings}", flush=True)
    rows: list[dict[str, Any]] = []
    shapes = TINY if args.quick else by_importance()
    left: list[str] = []
    found = record.machine(args.device) | {"ceilings": ceilings, "rows": rows, "not_reached": left}
    with backend.computing():
        for shape in shapes:
            if time.monotonic() > deadline:
                left.append(shape.name)
                continue
            rows += _bench(shape, backend, torch, watch, ceilings)
            record.save(args.out, "convolution", found)
    record.save(args.out, "convolution", found)
    if left:
        print(f"time is up: {len(left)} of {len(shapes)} shapes were not reached")
    wrong = [r for r in rows if not r["error"] <= r["bound"]]
    record.finish([f"{r['shape']} {r['pass']}: error {r['error']:.2e}" for r in wrong])


TINY = (
    Convolution("tiny", 2, 1, 8, 8, 4, 3, 3, 1, 0),
    Convolution("tiny", 2, 3, 9, 7, 5, 3, 3, 2, 1),
)


def by_importance() -> list[Convolution]:
    """Those of MNIST first, then each with its largest batch, then the smaller batches."""
    largest: dict[str, int] = {}
    for shape in SHAPES:
        rest = shape.name.split(" ", 1)[1]
        largest[rest] = max(largest.get(rest, 0), shape.N)
    return sorted(
        SHAPES,
        key=lambda s: (s.group != "MNIST", largest[s.name.split(" ", 1)[1]] > s.N),
    )


def _bench(
    shape: Convolution, backend: Any, torch: Any, watch: Stopwatch, ceilings: Any
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    host = {
        "x": noise(rng, shape.x_shape),
        "w": noise(rng, shape.w_shape),
        "y": noise(rng, shape.y_shape),
    }
    mine = {name: backend.asarray(array) for name, array in host.items()}
    calls = _ours(backend, shape, mine)
    theirs = _torch_calls(torch, shape, host, backend) if torch else {}
    references = _references(torch, shape, host, backend)
    rows = []
    for name in PASSES:
        result = backend.to_numpy(calls[name]()).astype(np.float64)
        expected = references[name]()
        error = float(np.linalg.norm(result - expected) / np.linalg.norm(expected))
        terms = _terms(shape, name)
        row: dict[str, Any] = {
            "group": shape.group,
            "shape": shape.name,
            "pass": name,
            "gflop": shape.flop / 1e9,
            "error": error,
            "bound": 4 * EPS * math.sqrt(terms),
        }
        del result, expected
        rows.append(row)
        if not error <= row["bound"]:
            print(f"{shape.name} {name}: WRONG, error {error:.2e}, bound {row['bound']:.2e}")
            continue
        times = watch.compare({"ours": calls[name]} | theirs.get(name, {}))
        row |= _summary(times, shape, host, ceilings)
        print(_line(row), flush=True)
    return rows


def _ours(backend: Any, shape: Convolution, arrays: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    x, w, y = arrays["x"], arrays["w"], arrays["y"]
    how: dict[str, Any] = {"stride": shape.stride, "padding": shape.padding}
    return {
        "forward": lambda: backend.conv2d_forward(x, w, **how),
        "backward_input": lambda: backend.conv2d_backward_input(y, w, shape.x_shape, **how),
        "backward_weight": lambda: backend.conv2d_backward_weight(y, x, shape.w_shape, **how),
    }


def _torch_passes(
    torch: Any, shape: Convolution, x: Any, w: Any, y: Any
) -> dict[str, Callable[[], Any]]:
    s, p = [shape.stride] * 2, [shape.padding] * 2

    def backward(of_x: bool, of_w: bool) -> Any:
        found = torch.ops.aten.convolution_backward(
            y, x, w, None, s, p, [1, 1], False, [0, 0], 1, [of_x, of_w, False]
        )
        return found[0] if of_x else found[1]

    return {
        "forward": lambda: torch.conv2d(x, w, stride=s, padding=p),
        "backward_input": lambda: backward(True, False),
        "backward_weight": lambda: backward(False, True),
    }


def _torch_calls(
    torch: Any, shape: Convolution, host: dict[str, np.ndarray], backend: Any
) -> dict[str, dict[str, Callable[[], Any]]]:
    """pass -> layout -> call."""
    calls: dict[str, dict[str, Callable[[], Any]]] = {name: {} for name in PASSES}
    for layout in ("contiguous", "channels_last"):
        x, w, y = (
            to_torch(torch, host[name], backend).to(
                memory_format=getattr(
                    torch, "contiguous_format" if layout == "contiguous" else layout
                )
            )
            for name in "xwy"
        )
        for name, call in _torch_passes(torch, shape, x, w, y).items():
            calls[name][layout] = call
    return calls


def _references(
    torch: Any, shape: Convolution, host: dict[str, np.ndarray], backend: Any
) -> dict[str, Callable[[], np.ndarray]]:
    """pass -> a call that gives the result in float64, computed in float64."""
    doubles = {name: array.astype(np.float64) for name, array in host.items()}
    if torch:
        x, w, y = (to_torch(torch, doubles[name], backend) for name in "xwy")
        passes = _torch_passes(torch, shape, x, w, y)
        return {name: lambda call=passes[name]: call().cpu().numpy() for name in PASSES}
    arrays = {name: backend.asarray(array) for name, array in doubles.items()}
    passes = _ours(backend, shape, arrays)
    return {name: lambda call=passes[name]: backend.to_numpy(call()) for name in PASSES}


def _terms(shape: Convolution, name: str) -> int:
    """Products in the sum of one result."""
    N, F, OH, OW = shape.y_shape
    window = shape.KH * shape.KW
    return {
        "forward": shape.C * window,
        "backward_input": F * window,
        "backward_weight": N * OH * OW,
    }[name]


def _summary(
    times: dict[str, Times], shape: Convolution, host: dict[str, np.ndarray], ceilings: Any
) -> dict[str, Any]:
    ours = times.pop("ours")
    least = floor(shape.flop, sum(array.nbytes for array in host.values()), ceilings)
    row: dict[str, Any] = {
        "ours": ours.as_dict(),
        "tflops": shape.flop / ours.median / 1e12,
        "floor": None if least is None else round(1e6 * least, 3),
        "share_of_floor": None if least is None else least / ours.median,
    }
    if times:
        layout = min(times, key=lambda name: times[name].median)
        row["torch"] = {"layout": layout, **times[layout].as_dict()}
        row["ratio"] = ratio(ours, times[layout])
    return row


def _line(row: dict[str, Any]) -> str:
    line = f"{row['shape']:38} {row['pass']:15} {row['ours']['median']:9.1f} us"
    line += f" {row['tflops']:6.2f} TFLOP/s"
    if row["share_of_floor"] is not None:
        line += f" {row['share_of_floor']:4.0%} of floor"
    if "torch" in row:
        line += f"  torch {row['torch']['median']:9.1f} us ({row['torch']['layout']})"
        line += f"  x{row['ratio']:.2f}"
    return line + f"  error {row['error']:.1e} of {row['bound']:.1e}"


if __name__ == "__main__":
    main()
