"""Training steps of all models, beside PyTorch where it is installed."""

from __future__ import annotations

import record

from gpucnn.bench import baselines, networks, report
from gpucnn.bench.session import Bench, Options


def main() -> None:
    args = record.options(__doc__)
    options = Options(
        device=args.device,
        suite="quick" if args.quick else "mnist",
        baselines=() if args.quick else tuple(baselines.installed()),
        seconds=0.1,
    )
    bench = Bench(options)
    for row in bench.run(networks.training_tasks(bench)):
        bench.record.save(args.out / "train.json")  # each row: the time may end before the last
        print(row.title, flush=True)
    bench.record.save(args.out / "train.json")
    print(report.page([bench.record]), flush=True)
    record.finish([f"{row.title}: {row.why_wrong}" for row in bench.record.wrong])


if __name__ == "__main__":
    main()
