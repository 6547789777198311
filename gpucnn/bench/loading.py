"""`gpucnn bench data`: from the files to a batch on the device. `value` is images a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from gpucnn import data, random
from gpucnn.bench import networks, verify
from gpucnn.bench.record import Row
from gpucnn.bench.session import Bench, Work

IMAGES = 60_000
BATCH_SIZE = 128
_SCALE = 1 / 255


def count(bench: Bench) -> int:
    """Rows that there will be."""
    return 5


def rows(bench: Bench) -> Iterator[Row]:
    """Time reading, shuffling, gathering and augmenting."""
    if reason := networks.missing_mnist(bench.options.data_dir):
        yield Row("data", "read", "mnist", skipped=reason)
    else:
        yield _row(bench, Row("data", "read", "mnist"), 70_000, partial(_read, bench, "mnist"))
    yield _row(bench, Row("data", "read", "digits"), 1797, partial(_read, bench, "digits"))
    yield _row(
        bench, Row("data", "shuffle", f"{IMAGES:,} images"), IMAGES, partial(_shuffle, bench)
    )
    batch = f"{BATCH_SIZE} of {IMAGES:,}"
    nbytes = 5 * BATCH_SIZE * 28 * 28  # a byte read and a float32 written for each pixel
    gather = Row("data", "gather", batch, "float32", nbytes=nbytes)
    yield _row(bench, gather, BATCH_SIZE, partial(_gather, bench))
    augment = Row("data", "augment", f"shift 2, rotate 10, batch {BATCH_SIZE}", "float32")
    yield _row(bench, augment, BATCH_SIZE, partial(_augment, bench))


def _row(bench: Bench, row: Row, images: int, prepare: Callable[[], Work]) -> Row:
    return networks.per_second(bench.guarded(row, prepare), images)


def _read(bench: Bench, name: str) -> Work:
    return Work(lambda: data.load(name, bench.options.data_dir if name == "mnist" else None))


def _shuffle(bench: Bench) -> Work:
    def run() -> Any:
        return bench.backend.asarray(random.permutation(IMAGES, 0, "shuffle", 1).astype(np.int32))

    def check() -> tuple[float, float]:
        order = np.sort(bench.backend.to_numpy(run()))
        return float((order != np.arange(IMAGES)).sum()), 0.0

    rivals = {
        name: {"contiguous": lambda peer=peer: peer.torch.randperm(IMAGES, device=peer.device)}
        for name, peer in bench.baselines.items()
    }
    return Work(run, check, rivals)


def _gather(bench: Bench) -> Work:
    images = networks.random_images(bench.rng, IMAGES).images
    at = bench.rng.permutation(IMAGES)[:BATCH_SIZE].astype(np.int32)
    backend = bench.backend
    dataset, indices = backend.asarray(images), backend.asarray(at)

    def run() -> Any:
        return backend.gather(dataset, indices, scale=_SCALE)

    def check() -> tuple[float, float]:
        expected = verify.Expected(images[at] / 255.0)
        error = verify.relative_error(backend.to_numpy(run()), expected)
        return error, verify.bound(1, "float32")

    def torch_call(peer: Any) -> Callable[[], Any]:
        theirs, places = peer.array(images), peer.array(at.astype(np.int64))
        return lambda: theirs[places].float() / 255

    rivals = {name: {"contiguous": torch_call(peer)} for name, peer in bench.baselines.items()}
    return Work(run, check, rivals)


def _augment(bench: Bench) -> Work:
    augment = data.Augment(shift=2, rotate=10.0)
    x = bench.backend.asarray(bench.rng.random((BATCH_SIZE, 1, 28, 28), dtype=np.float32))
    motion = bench.backend.asarray(augment.draw(BATCH_SIZE, 0, 0))
    return Work(lambda: augment.apply(bench.backend.xp, x, motion))
