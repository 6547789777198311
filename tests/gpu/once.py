"""Every primitive once, for compute-sanitizer; without --quick also `cnn` at batch 128, for ncu."""

from __future__ import annotations

from typing import Any

import numpy as np
import record
from calls import Calls

from gpucnn import backend as backends


def main() -> None:
    args = record.options(__doc__)
    backend = backends.get(args.device)
    if backend.name.startswith("cuda"):
        # An allocation for each array: in a pool, its neighbor hides that it was overrun.
        backend.xp.cuda.set_allocator(None)
    with backend.quiet_device():
        for dtype in ("float32", "float64"):
            for name, call in Calls(backend.asarray, dtype=dtype).calls.items():
                print(name, dtype, flush=True)
                for result in call(backend):
                    backend.to_numpy(result)
        _convolutions(backend, 2 if args.quick else 128)


def _convolutions(backend: Any, N: int) -> None:
    """The layers of `cnn` but for the dense ones, forward and backward."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return backend.asarray(rng.standard_normal(shape, dtype=np.float32))

    for C, F, size in ((1, 32, 28), (32, 64, 26)):
        x, w, b = normal(N, C, size, size), normal(F, C, 3, 3), normal(F)
        y = backend.conv2d_forward(x, w, b, activation="relu")
        backend.conv2d_backward_input(y, w, x.shape)
        backend.conv2d_backward_weight(y, x, w.shape)
        backend.bias_grad(y)
        pooled, argmax = backend.max_pool2d_forward(y, 2)
        backend.to_numpy(backend.max_pool2d_backward(pooled, argmax, y.shape, 2))


if __name__ == "__main__":
    main()
