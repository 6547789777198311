"""Hardware counters of the layers of `cnn`, by Nsight Compute: duration, shares, occupancy."""

from __future__ import annotations

import csv
import itertools
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import record

# The kernels that most of a training step is spent in; each must be among those counted.
EXPECTED = (
    "conv2d_forward_direct",
    "conv2d_forward_tiled",
    "conv2d_backward_input_tiled",
    "conv2d_backward_weight_direct",
    "conv2d_backward_weight_tiled",
    "matmul_tiled",
    "max_pool2d_forward_stride2",
    "max_pool2d_backward_stride2",
)
SHOWN = ("Duration", "Compute (SM) Throughput", "Memory Throughput", "Achieved Occupancy")


def main() -> None:
    args = record.options(__doc__)
    found = args.out / "counters.csv"
    command = ["ncu", "--section", "SpeedOfLight", "--section", "Occupancy"]
    # The clocks stay as they are: the GPU may be shared, and training runs at these clocks.
    command += ["--clock-control", "none"]
    # By name: the launches of other kernels, which CuPy has too, are not counted.
    command += ["--kernel-name", "regex:^(conv2d|matmul|max_pool2d|bias_grad|sum_parts)"]
    command += ["--csv", "--log-file", str(found)]
    command += [sys.executable, str(Path(__file__).with_name("layers.py"))]
    command += ["--device", args.device, "--data", args.data, *["--quick"] * args.quick]
    print("$", " ".join(command), flush=True)
    code = subprocess.run(command).returncode
    launches = read(found.read_text().splitlines(keepends=True)) if found.exists() else []
    for launch in launches:
        shown = (f"{name} {' '.join(launch['metrics'].get(name, ['?']))}" for name in SHOWN)
        print(launch["kernel"], *shown, sep="  ", flush=True)
    record.save(args.out, "counters", {**record.machine(args.device), "launches": launches})
    failures = [f"ncu ended with {code}"] if code else []
    names = {launch["kernel"] for launch in launches if launch["metrics"]}
    failures += [f"no counters of {name}" for name in EXPECTED if name not in names]
    record.finish(failures)


def read(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The launches in what `ncu --csv` writes, each with its metrics as (value, unit)."""
    launches: dict[str, dict[str, Any]] = {}
    # The table follows messages, and may be followed by some.
    table = itertools.dropwhile(lambda line: not line.startswith('"ID"'), lines)
    for row in csv.DictReader(table):
        if not row["Kernel Name"]:
            continue
        launch = launches.setdefault(
            row["ID"],
            {
                "kernel": row["Kernel Name"].partition("(")[0],
                "grid": row["Grid Size"],
                "block": row["Block Size"],
                "metrics": {},
            },
        )
        if row["Metric Name"]:
            launch["metrics"][row["Metric Name"]] = [row["Metric Value"], row["Metric Unit"]]
    return list(launches.values())


if __name__ == "__main__":
    main()
