"""The versions of this machine, whether the device can be used, and what other parts will miss."""

from __future__ import annotations

import importlib
import json
import shutil

import record

from gpucnn import backend
from gpucnn.backend.cuda import diagnosis
from gpucnn.errors import GpucnnError


def main() -> None:
    args = record.options(__doc__)
    found = record.machine()
    found["cuda"] = diagnosis.cuda_facts()
    found["problems"] = [problem._asdict() for problem in diagnosis.cuda_problems()]
    failures = []
    try:
        found["backend"] = backend.get(args.device).describe()
    except GpucnnError as error:
        failures.append(str(error))
    if args.device.startswith("cuda"):
        failures += _missing()
    print(json.dumps(found, indent=1))
    record.save(args.out, "environment", found)
    record.finish(failures)


def _missing() -> list[str]:
    """What other parts need and this machine does not have."""
    lines = [
        f"{program} is not on the PATH"
        for program in ("nvidia-smi", "compute-sanitizer", "ncu")
        if shutil.which(program) is None
    ]
    for module in ("pytest", "xdist", "hypothesis", "torch"):
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken installation fails in ways of its own
            lines.append(f"{module} cannot be imported: {error}")
        else:
            if module == "torch" and not importlib.import_module("torch").cuda.is_available():
                lines.append("PyTorch cannot use CUDA: there is nothing to compare speeds with")
    return lines


if __name__ == "__main__":
    main()
