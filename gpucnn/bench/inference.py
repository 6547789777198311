"""`gpucnn bench infer`: the models on images in float32 that lie on the device already.

`value` is images a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from gpucnn import models, no_grad
from gpucnn.autograd import Tensor
from gpucnn.bench import networks
from gpucnn.bench.baselines import Torch, layouts
from gpucnn.bench.record import Row
from gpucnn.bench.session import Bench, Work
from gpucnn.bench.stopwatch import Call
from gpucnn.nn import Sequential

BATCH_SIZES = (1, 128)


def cases(suite: str) -> list[tuple[str, int]]:
    """Model and batch size of each row."""
    names = ("softmax", "lenet") if suite == "quick" else models.NAMES
    return [(name, size) for name in names for size in BATCH_SIZES]


def count(bench: Bench) -> int:
    """Rows that there will be."""
    return len(cases(bench.options.suite))


def rows(bench: Bench) -> Iterator[Row]:
    """Time the forward pass of each model, in evaluation mode and outside the graph."""
    for name, size in cases(bench.options.suite):
        model = models.get(name).build(networks.IMAGE_SHAPE, device=bench.backend.name).eval()
        networks.leave_zero(model, bench.rng)
        row = Row(
            "infer", name, f"batch {size}", "float32", flop=networks.forward_flop(model, size)
        )
        row = bench.guarded(
            row, partial(_prepare, bench, model, size), networks.nbytes(model, size)
        )
        yield networks.per_second(row, size)


def _prepare(bench: Bench, model: Sequential, size: int) -> Work:
    images = bench.rng.random((size, *networks.IMAGE_SHAPE), dtype=np.float32)
    x = bench.backend.asarray(images)

    def run() -> Any:
        with no_grad():
            return model(Tensor(x)).data

    def check() -> tuple[float, float]:
        return networks.output_error(model, images, bench.backend.to_numpy(run()))

    rivals = {
        name: {layout: _torch_call(peer, model, images, layout) for layout in layouts(peer, model)}
        for name, peer in bench.baselines.items()
    }
    return Work(run, check, rivals)


def _torch_call(peer: Torch, model: Sequential, images: np.ndarray, layout: str) -> Call:
    network, x = peer.network(model, layout).eval(), peer.array(images, layout)

    def call() -> Any:
        with peer.torch.inference_mode():
            return network(x)

    return call
