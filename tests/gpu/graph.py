"""Training steps launched kernel by kernel, and replayed as graphs: the same bits, and the time.

Two trainings of each model do the same steps from the same weights, in turns. A step that is not
captured on CUDA is a failure.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from typing import Any

import numpy as np
import record

from gpucnn import data, models
from gpucnn.training import TrainConfig, Trainer


def main() -> None:
    args = record.options(__doc__)
    turns, steps, size = (2, 4, 8) if args.quick else (8, 50, 64)
    splits = record.splits(args)
    rows, failures = [], []
    for model in ("softmax", "lenet") if args.quick else models.NAMES:
        config = {"model": model, "device": args.device, "batch_size": size, "epochs": 9}
        trainers = {
            "eager": _trainer(splits, graph=False, **config),
            "replayed": _trainer(splits, **config),
        }
        seconds: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(turns):
            for name, trainer in trainers.items():
                seconds[name].append(_time(trainer, steps))
        row: dict[str, Any] = {"model": model, "batch": size, "nodes": _nodes(trainers["replayed"])}
        # The first turn compiles and captures.
        row |= {name: statistics.median(found[1:]) for name, found in seconds.items()}
        rows.append(row)
        print(
            f"{model:8} eager {1e6 * row['eager']:8.1f} us, replayed {1e6 * row['replayed']:8.1f} "
            f"us a step, {row['nodes']} nodes",
            flush=True,
        )
        failures += [f"{model}: {difference}" for difference in _differences(*trainers.values())]
        if args.device.startswith("cuda") and row["nodes"] is None:
            failures.append(f"{model}: it was not captured: {trainers['replayed'].notes}")
    record.save(args.out, "graph", {**record.machine(args.device), "rows": rows})
    record.finish(failures)


def _trainer(splits: data.Splits, **options: Any) -> Trainer:
    return Trainer(models.get(options["model"], splits.classes), splits, TrainConfig(**options))


def _time(trainer: Trainer, steps: int) -> float:
    """Seconds of a step, from host to host; the device has nothing to do before and after."""
    start = time.perf_counter()
    for _ in range(steps):
        trainer.train_step()
    trainer.read()  # waits for the device
    return (time.perf_counter() - start) / steps


def _differences(eager: Trainer, replayed: Trainer) -> list[str]:
    """What is not the same to the bit: the sums of the metrics, the weights, the optimizer."""
    found = [(trainer.read(), trainer.snapshot()) for trainer in (eager, replayed)]
    (sums, one), (other_sums, other) = found
    different = ["the sums of loss and right answers"] if sums != other_sums else []
    for what, here, there in (
        ("weight", one.weights, other.weights),
        ("state", one.state, other.state),
    ):
        different += [
            f"the {what} {name}" for name in here if not np.array_equal(here[name], there[name])
        ]
    return [f"{name} differs" for name in different]


def _nodes(trainer: Trainer) -> int | None:
    """The nodes of the graph of a full batch, by the driver; None if there is none."""
    graph = trainer._replays._graphs.get(trainer.config.batch_size)
    if graph is None:
        return None
    captured: Any = graph._launch.args[0]  # type: ignore[attr-defined]
    count = ctypes.c_size_t()
    handle = ctypes.c_void_p(captured._graph.graph)
    ctypes.CDLL("libcuda.so.1").cuGraphGetNodes(handle, None, ctypes.byref(count))
    return count.value


if __name__ == "__main__":
    main()
