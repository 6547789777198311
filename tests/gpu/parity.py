"""Twenty training steps on the device and on the CPU: how far apart the weights are.

Rounding differs between the two, and training amplifies it: a ReLU or a maximum that was almost
tied falls to the other side. By how much, controls tell: the same steps on the CPU from weights
that are off by what an operation may err by, 4 * sqrt(K) roundings for a sum of K products, K being
the longest in the network. The device must be no further away than the furthest of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import record

from gpucnn import data, models
from gpucnn.nn import Sequential
from gpucnn.training import TrainConfig, Trainer

EPS = 2.0**-24
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"learning_rate": 0.01, "momentum": 0.9},
    "adam": {"learning_rate": 1e-3},
}


def main() -> None:
    args = record.options(__doc__)
    steps, size = (3, 8) if args.quick else (20, 64)
    splits = record.splits(args)
    rows, failures = [], []
    for model in ("softmax", "lenet") if args.quick else models.NAMES:
        for optimizer, extra in OPTIMIZERS.items():
            config = {"model": model, "batch_size": size, "optimizer": optimizer, **extra}
            start, here = _train(config, "cpu", splits, steps)
            _, there = _train(config, args.device, splits, steps)
            off = 4 * math.sqrt(_longest_sum(model, size)) * EPS
            controls = [_train(config, "cpu", splits, steps, off, seed) for seed in range(2)]
            moved = _norm(here - start)
            row = {
                "model": model,
                "optimizer": optimizer,
                "moved": moved,
                "difference": _norm(there - here) / moved,
                "bound": max(_norm(control - here) for _, control in controls) / moved,
            }
            rows.append(row)
            print(
                f"{model:8} {optimizer:5} apart by {row['difference']:.2e} of the way moved, "
                f"may be {row['bound']:.2e}",
                flush=True,
            )
            if not row["difference"] <= row["bound"]:
                failures.append(f"{model} with {optimizer}: {row['difference']:.2e}")
    record.save(args.out, "parity", {**record.machine(args.device), "steps": steps, "rows": rows})
    record.finish(failures)


def _train(
    config: dict[str, Any],
    device: str,
    splits: data.Splits,
    steps: int,
    off: float = 0.0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The weights before and after, each as one float64 vector.

    Args:
        off: the relative error that weights and pixels are given at first.
        seed: of that error.
    """
    model = models.get(config["model"], splits.classes)
    trainer = Trainer(model, splits, TrainConfig(device=device, seed=3, **config))
    if off:
        rng = np.random.default_rng(seed)
        # A factor: what is zero stays so, or a ReLU that is exactly at its corner would flip.
        state = {
            name: w * (1 + off * rng.choice([-1, 1], w.shape)).astype(w.dtype)
            for name, w in model.state_dict().items()
        }
        model.load_state_dict(state)
        trainer.loader.scale *= 1 + off
    before = _vector(model)
    for _ in range(steps):
        trainer.train_step()
    trainer.read()  # raises if a loss was not finite
    return before, _vector(model)


def _vector(model: Sequential) -> np.ndarray:
    state = model.state_dict()
    return np.concatenate([state[name].ravel().astype(np.float64) for name in sorted(state)])


def _norm(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))


def _longest_sum(model: str, size: int) -> int:
    """Terms of the longest sum: a dense layer's inputs, or a filter's gradient over the batch."""
    return {"softmax": 784, "mlp": 784, "lenet": size * 28 * 28, "cnn": size * 26 * 26}[model]


if __name__ == "__main__":
    main()
