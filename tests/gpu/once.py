"""Every primitive once, then small layers of `cnn`: for compute-sanitizer."""

from __future__ import annotations

import layers
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
        layers.run(backend, 2)


if __name__ == "__main__":
    main()
