"""`gpucnn train` twice with one seed: the accuracy it reaches, and whether the bytes are equal."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import record

# One epoch of `cnn` is above 98 % with every seed tried on the CPU; more epochs only gain.
LEAST_ACCURACY = 0.985


def main() -> None:
    args = record.options(__doc__)
    epochs = 1 if args.quick else 4
    is_mnist = args.data != "digits"
    where = ["--data", "mnist", "--data-dir", args.data] if is_mnist else ["--data", "digits"]
    where += ["--model", "softmax" if args.quick else "cnn", "--epochs", str(epochs)]
    where += ["--limit-batches", "3"] if args.quick else []
    with tempfile.TemporaryDirectory() as folder:  # the weights are not part of the record
        runs = [_train(args.device, Path(folder), name, where) for name in ("first", "second")]
    failures = [run["error"] for run in runs if run["error"]]
    if not failures:
        if runs[0]["sha256"] != runs[1]["sha256"]:
            failures.append("the same seed gave other weights")
        accuracy = runs[0]["end"]["test_accuracy"]
        print(f"test accuracy {accuracy:.4f}, weights {runs[0]['sha256'][:16]} in both runs")
        if is_mnist and not args.quick and not accuracy >= LEAST_ACCURACY:
            failures.append(f"the test accuracy is {accuracy:.4f}, below {LEAST_ACCURACY}")
    record.save(args.out, "mnist", {**record.machine(args.device), "options": where, "runs": runs})
    record.finish(failures)


def _train(device: str, runs: Path, name: str, options: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "gpucnn", "train", "--device", device, "--seed", "7", "--json"]
    command += ["--runs-dir", str(runs), "--name", name, *options]
    print("$", " ".join(command), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        return {"error": f"gpucnn train ended with {done.returncode}", "events": events}
    weights = (runs / name / "weights" / "last.safetensors").read_bytes()
    return {
        "error": None,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "epochs": [event for event in events if event["event"] == "epoch"],
        "end": events[-1],
    }


if __name__ == "__main__":
    main()
