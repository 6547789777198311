"""What the machine has, and whether the device can be used at all."""

from __future__ import annotations

import json

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
    print(json.dumps(found, indent=1))
    record.save(args.out, "environment", found)
    record.finish(failures)


if __name__ == "__main__":
    main()
