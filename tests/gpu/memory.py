"""A thousand training steps: the device's memory does not grow after the first few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import record

from gpucnn import models
from gpucnn.training import TrainConfig, Trainer

PAGE = 4096


def main() -> None:
    args = record.options(__doc__)
    steps, every = (20, 4) if args.quick else (1000, 100)
    splits = record.splits(args)
    model, size = "lenet" if args.quick else "cnn", 64
    # Whole batches only: a short one is so seldom that its memory would be a growth.
    whole = len(splits.train) // size
    options: dict[str, Any] = {"batch_size": size, "limit_batches": whole, "epochs": 100}
    config = TrainConfig(model=model, device=args.device, **options)
    trainer = Trainer(models.get(config.model, splits.classes), splits, config)
    held: list[dict[str, int]] = []
    for step in range(steps):
        trainer.train_step()
        if step % every == every - 1:
            trainer.read()
            held.append(_held(trainer.backend))
            print(f"step {step + 1}: {held[-1]}", flush=True)
    failures = []
    for key in ("used", "pool"):  # of the device; the host's is only put on record
        readings = [reading[key] for reading in held if key in reading]
        half = len(readings) // 2
        if readings and max(readings[half:]) > max(readings[:half]):
            failures.append(f"{key} grew from {max(readings[:half])} to {max(readings[half:])}")
    record.save(args.out, "memory", {**record.machine(args.device), "steps": steps, "held": held})
    record.finish(failures)


def _held(backend: Any) -> dict[str, int]:
    """Bytes: of arrays on the device, of CuPy's pool there, of all; of this process on the host."""
    host = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    if not backend.name.startswith("cuda"):
        return {"host": host}
    pool = backend.xp.get_default_memory_pool()  # a graph has one of its own
    free, total = backend.xp.cuda.runtime.memGetInfo()
    in_pool = {"used": pool.used_bytes(), "pool": pool.total_bytes()}
    return {**in_pool, "device": total - free, "host": host}


if __name__ == "__main__":
    main()
