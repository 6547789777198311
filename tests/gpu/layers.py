"""The layers of `cnn` at batch 128, forward and backward: large launches alone, for ncu."""

from __future__ import annotations

from typing import Any

import numpy as np
import record

from gpucnn import backend as backends


def main() -> None:
    args = record.options(__doc__)
    backend = backends.get(args.device)
    with backend.quiet_device():
        run(backend, 2 if args.quick else 128)


def run(backend: Any, N: int) -> None:
    """Each layer once, on random numbers.

    Args:
        N: images of the batch.
    """
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
    for K, F in ((9216, 128), (128, 10)):
        x, w, b = normal(N, K), normal(K, F), normal(F)
        y = backend.matmul(x, w, bias=b, activation="relu")
        backend.matmul(y, w, transpose_b=True)
        backend.to_numpy(backend.matmul(x, y, transpose_a=True))


if __name__ == "__main__":
    main()
