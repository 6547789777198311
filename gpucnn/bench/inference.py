"""`gpucnn bench infer`: the models on float32 images that are on the device already."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gpucnn import models, no_grad
from gpucnn.autograd import Tensor
from gpucnn.bench import networks
from gpucnn.bench.baselines import Torch
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Task, Work
from gpucnn.bench.stopwatch import Call
from gpucnn.nn import Sequential


def tasks(bench: Bench) -> list[Task]:
    """A row for each model and batch size: the forward pass, without a graph."""
    names = ("softmax", "lenet") if bench.options.suite == "quick" else models.NAMES
    return [partial(_measure, bench, name, size) for name in names for size in (1, 128)]


def _measure(bench: Bench, name: str, size: int) -> BenchRow:
    model = models.get(name).build(networks.IMAGE_SHAPE, device=bench.backend.name).eval()
    networks.replace_zeros(model, bench.rng)
    flop = sum(row.flops for row in model.summary_rows(size))
    row = BenchRow("infer", name, f"batch {size}", "float32", flop=flop)
    return bench.guarded(row, lambda: _work(bench, model, size), networks.nbytes(model, size))


def _work(bench: Bench, model: Sequential, size: int) -> Work:
    images = bench.rng.random((size, *networks.IMAGE_SHAPE), dtype=np.float32)
    x = bench.backend.asarray(images)

    def run() -> Any:
        with no_grad():
            return model(Tensor(x)).data

    def check() -> tuple[float, float]:
        return networks.verify_outputs(model, images, bench.backend.to_numpy(run()))

    def torch_call(torch: Torch, layout: str) -> Call:
        network, theirs = torch.network(model, layout).eval(), torch.array(images, layout)
        return torch.torch.inference_mode()(lambda: network(theirs))

    calls = bench.torch_calls(torch_call, images=networks.convolves(model))
    return Work(run, check, calls, images=size)
