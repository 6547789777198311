"""Metrics of a training, added up in place, against float64 loops."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from checks import tolerance

from gpucnn import ops
from gpucnn.errors import DtypeError, ShapeError


def state(backend, totals=(0.0, 0.0), step=0, found_inf=0):
    """totals, step and found_inf on the device."""
    u32 = [np.array([number], np.uint32) for number in (step, found_inf)]
    return [backend.asarray(array) for array in (np.array(totals), *u32)]


def add(backend, arrays, losses, outputs, labels, **options):
    totals, *counters = arrays
    backend.accumulate_metrics(
        totals, *map(backend.asarray, (losses, outputs, labels)), **options,
        **dict(zip(("step", "found_inf"), counters, strict=False)),
    )  # fmt: skip
    return [backend.to_numpy(array) for array in arrays]


# (outputs, the shape of the losses)
SHAPES = [
    ((1, 1), (1,)), ((1, 10), (1,)), ((64, 10), (64,)), ((64, 10), (64, 10)), ((257, 3), (257,)),
    ((300, 1), (300, 1)), ((5, 1000), (5,)), ((3, 4, 5, 7), (3, 4, 5, 7)), ((2, 1, 9), (2, 1, 9)),
    ((1021, 2), (1021,)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "of_losses"), SHAPES, ids=str)
@pytest.mark.parametrize("form", ["int32", "int64", "uint8", "targets", "one-hot"])
def test_sums_and_right_answers(backend, dtype, rng, shape, of_losses, form):
    outputs, losses = (rng.standard_normal(s).astype(dtype) for s in (shape, of_losses))
    ids = rng.integers(0, max(2, shape[1]), (shape[0], *shape[2:]))
    labels = ids.astype(form) if form[0] in "iu" else rng.random(shape).astype(dtype)
    if form == "one-hot":
        labels = (np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2)) == ids[:, None]) * 1
    before = (3.5, 2.0)
    totals, step, found_inf = add(
        backend, state(backend, before, 7), losses, outputs, labels, threshold=0.25
    )
    loss, right = reference.metrics(losses, outputs, labels, threshold=0.25)
    assert 0 < right < ids.size or ids.size < 6 or shape[1] > 100
    bound = tolerance(losses.dtype, losses.size) * np.abs(losses).mean() * shape[0] + 1e-12
    assert abs(totals[0] - before[0] - loss) <= bound
    assert totals[1] == before[1] + right
    assert (step, found_inf) == (8, 0)


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_the_first_of_equal_outputs_wins_and_a_nan_is_the_largest(backend, dtype, classes):
    rows = np.zeros((4, classes), dtype)
    rows[1, -1] = 2
    rows[2, [0, 1]] = 5, np.nan
    rows[3, 0] = rows[3, -1] = np.nan
    wanted = [0, classes - 1, 1, 0]
    losses = np.ones(4, dtype)
    for shift in (0, 1):  # all right, then all wrong
        labels = (np.array(wanted) + shift) % classes
        totals, *_ = add(backend, state(backend)[:1], losses, rows, labels)
        assert totals.tolist() == [4, 4 * (1 - shift)]
        rights = np.eye(classes)[labels].astype(dtype)
        totals, *_ = add(backend, state(backend)[:1], losses, rows, rights)
        assert totals.tolist() == [4, 4 * (1 - shift)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_loss_that_is_not_finite_halts(backend, dtype, rng, bad):
    outputs, labels = rng.standard_normal((6, 3)).astype(dtype), np.zeros(6, np.int32)
    losses = np.ones(6, dtype)
    arrays = state(backend, step=41)
    for value, want in ((1, (42, 0)), (bad, (42, 43)), (bad, (42, 43)), (1, (42, 43))):
        losses[4] = value
        _, step, found_inf = add(backend, arrays, losses, outputs, labels)
        assert (step, found_inf) == want


@pytest.mark.parametrize("labels", [[-1, 5, 1, 0], [2**32, -(2**32), 1, 0]], ids=["int", "wide"])
def test_a_class_id_out_of_range_is_wrong(backend, labels):
    outputs = np.array([[2, 1], [1, 2], [1, 2], [2, 1]], np.float32)
    ids = np.array(labels, np.int64)
    totals, *_ = add(backend, state(backend)[:1], np.ones(4, np.float32), outputs, ids)
    assert totals[1] == 2


def test_any_layout(backend, rng):
    outputs, losses = rng.standard_normal((5, 8)), rng.standard_normal((5, 8))
    labels = np.arange(10)[::2]
    want = add(backend, state(backend), losses, outputs, labels)
    there = [backend.asarray(np.ascontiguousarray(a.T)).T for a in (losses, outputs)]
    arrays = state(backend)
    backend.accumulate_metrics(
        arrays[0], *there, backend.asarray(np.arange(10))[::2], step=arrays[1], found_inf=arrays[2]
    )
    for got, expected in zip(arrays, want, strict=True):
        np.testing.assert_allclose(backend.to_numpy(got), expected, rtol=1e-15)


@pytest.mark.parametrize("shape", [(700, 10), (5, 3, 40, 41), (20000, 1), (64, 1000)])
def test_a_large_sum_is_cut_into_parts(gpu, dtype, rng, shape):
    outputs, losses = rng.standard_normal(shape).astype(dtype), rng.random(shape).astype(dtype)
    targets = rng.random(shape).astype(dtype)
    totals, step, found_inf = add(gpu, state(gpu, (1.0, 2.0)), losses, outputs, targets)
    answers = [(a > least if shape[1] == 1 else a.argmax(1)) for a, least in
               ((outputs, 0), (targets, 0.5))]  # fmt: skip
    right = np.equal(*answers).sum()
    np.testing.assert_allclose(totals[0], 1 + losses.mean(dtype=float) * shape[0], rtol=1e-12)
    assert totals[1] == 2 + right
    assert (step, found_inf) == (1, 0)
    losses[-1, -1] = np.inf
    *_, step, found_inf = add(gpu, state(gpu, step=8), losses, outputs, targets)
    assert (step, found_inf) == (8, 9)


def test_one_launch_does_it(gpu, monkeypatch):
    """For the outputs of a classifier; more outputs take a second one."""
    launched = []
    monkeypatch.setattr(gpu.launcher, "launch", lambda *args, **_: launched.append(args[1]))
    arrays = [gpu.xp.ones(shape, np.float32) for shape in ((4,), (4, 3))]
    totals, step, found_inf = state(gpu)
    labels = gpu.xp.zeros(4, np.int32)
    gpu.accumulate_metrics(totals, *arrays, labels, step=step, found_inf=found_inf)
    assert launched == ["accumulate_metrics"]
    launched.clear()
    outputs, labels = gpu.xp.ones((4096, 10), np.float32), gpu.xp.zeros(4096, np.int32)
    gpu.accumulate_metrics(totals, gpu.xp.ones(4096, np.float32), outputs, labels)
    assert launched == ["accumulate_metrics", "accumulate_metrics_parts"]


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"totals": np.zeros(3)}, ShapeError, "totals is float64 of shape"),
        ({"totals": np.zeros(2, np.float32)}, DtypeError, "totals is float32"),
        ({"step": np.zeros(1, np.int64)}, DtypeError, "step is int64"),
        ({"found_inf": np.zeros(2, np.uint32)}, ShapeError, "found_inf is uint32"),
        ({"found_inf": None}, ShapeError, "found_inf is None"),
        ({"step": None}, ShapeError, "step is None"),
        ({"losses": np.zeros(4)}, DtypeError, "float64"),
        ({"outputs": np.zeros(4, np.float32)}, ShapeError, r"outputs have shape \(4,\)"),
        ({"outputs": np.zeros((0, 3), np.float32)}, ShapeError, r"outputs have shape \(0, 3\)"),
        ({"labels": np.zeros(3, np.int32)}, ShapeError, r"labels have shape \(3,\)"),
        ({"labels": np.zeros((4, 2))}, ShapeError, r"labels have shape \(4, 2\)"),
        ({"labels": np.zeros(4, complex)}, DtypeError, "labels are complex128"),
    ],
)
def test_arguments_that_do_not_fit(backend, changed, error, words):
    given = {
        "totals": np.zeros(2), "losses": np.zeros(4, np.float32),
        "outputs": np.zeros((4, 3), np.float32), "labels": np.zeros(4, np.int32),
        "step": np.zeros(1, np.uint32), "found_inf": np.zeros(1, np.uint32),
    } | changed  # fmt: skip
    there = {k: None if a is None else backend.asarray(a) for k, a in given.items()}
    for owner in (backend, ops):
        with pytest.raises(error, match=words) as caught:
            owner.accumulate_metrics(**there)
        assert caught.value.fix
