"""Whole training steps of the four networks, images a second, beside PyTorch's eager mode.

Both hold the data on the device as uint8, gather a batch there, and do a step of Adam. The clock is
the host's, with the device waited for at the end of each stretch of steps.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import record
from timing import load_torch

from gpucnn import data, models, nn
from gpucnn.training import TrainConfig, Trainer

Run = Callable[[int], None]


def main() -> None:
    args = record.options(__doc__)
    torch = load_torch()
    splits = data.load("mnist", args.data) if args.data else data.load("digits")
    stretches, steps = (2, 2) if args.quick else (7, 100)
    rows = []
    for batch_size in (8,) if args.quick else (64, 128, 1024):
        for name in ("softmax", "lenet") if args.quick else models.NAMES:
            runs: dict[str, Run] = {"ours": _ours(name, splits, batch_size, args.device)}
            if torch:
                runs |= _theirs(torch, name, splits, batch_size, args.device)
            rates = _rates(runs, stretches, steps, batch_size)
            row: dict[str, Any] = {"model": name, "batch_size": batch_size} | {
                who: {
                    "median": statistics.median(found),
                    "p10": float(np.percentile(found, 10)),
                    "p90": float(np.percentile(found, 90)),
                }
                for who, found in rates.items()
            }
            rows.append(row)
            shown = ", ".join(f"{who} {row[who]['median']:,.0f}" for who in rates)
            print(f"{name:8} batch {batch_size:4}: {shown} images/s", flush=True)
    record.save(args.out, "training", {**record.machine(args.device), "rows": rows})


def _rates(
    runs: dict[str, Run], stretches: int, steps: int, batch_size: int
) -> dict[str, list[float]]:
    """Images a second, a number for each stretch; the runs take turns."""
    rates: dict[str, list[float]] = {who: [] for who in runs}
    for run in runs.values():
        run(max(2, steps // 10))
    for _ in range(stretches):
        for who, run in runs.items():
            start = time.perf_counter()
            run(steps)
            rates[who].append(steps * batch_size / (time.perf_counter() - start))
    return rates


def _ours(name: str, splits: data.Splits, batch_size: int, device: str) -> Run:
    config = TrainConfig(model=name, device=device, batch_size=batch_size, epochs=10_000)
    trainer = Trainer(models.get(name, splits.classes), splits, config)

    def run(steps: int) -> None:
        for _ in range(steps):
            trainer.train_on(*trainer.loader.batch(*divmod(trainer.step, trainer.steps_per_epoch)))
        trainer.read()

    return run


def _theirs(
    torch: Any, name: str, splits: data.Splits, batch_size: int, device: str
) -> dict[str, Run]:
    """The same network from the same layers, in both layouts where there are images."""
    layouts = ("contiguous", "channels_last") if name in ("lenet", "cnn") else ("contiguous",)
    return {
        f"torch {layout}": _torch_run(torch, name, splits, batch_size, device, layout)
        for layout in layouts
    }


def _torch_run(
    torch: Any, name: str, splits: data.Splits, batch_size: int, device: str, layout: str
) -> Run:
    place = "cuda:0" if device == "cuda" else device if device.startswith("cuda") else "cpu"
    order = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = models.get(name, splits.classes).build(splits.image_shape, seed=0, device="cpu")
    net = torch_network(torch, model).to(place).to(memory_format=order)
    images = torch.from_numpy(splits.train.images).to(place)
    assert splits.train.labels is not None
    labels = torch.from_numpy(splits.train.labels).long().to(place)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    batches = len(labels) // batch_size
    permutation = torch.randperm(len(labels), device=place)
    total = torch.zeros((), device=place)
    index = 0

    def run(steps: int) -> None:
        nonlocal index
        for _ in range(steps):
            at = permutation[index * batch_size : (index + 1) * batch_size]
            index = (index + 1) % batches
            x = (images[at].float() / 255).to(memory_format=order)
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(net(x), labels[at])
            loss.backward()
            optimizer.step()
            total.add_(loss.detach())
        float(total)

    return run


def torch_network(torch: Any, model: nn.Sequential) -> Any:
    """PyTorch's layers in the place of ours; the weights are its own."""
    layers = []
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            F, C, KH, KW = layer.weight.shape
            layers.append(torch.nn.Conv2d(C, F, (KH, KW), padding=layer.padding))
        elif isinstance(layer, nn.Dense):
            layers.append(torch.nn.Linear(*layer.weight.shape))
        elif isinstance(layer, nn.MaxPool2d):
            layers.append(torch.nn.MaxPool2d(layer.kernel_size))
        elif isinstance(layer, nn.Dropout):
            layers.append(torch.nn.Dropout(layer.rate))
        else:
            assert isinstance(layer, nn.Flatten), layer
            layers.append(torch.nn.Flatten())
        if getattr(layer, "activation", None) == "relu":
            layers.append(torch.nn.ReLU(inplace=True))
    return torch.nn.Sequential(*layers)


if __name__ == "__main__":
    main()
