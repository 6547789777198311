"""The cases of `gpucnn bench ops`: right on every device, caught when wrong, as PyTorch's are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpucnn.bench import operations
from gpucnn.bench.cases import Case
from gpucnn.bench.record import Row
from gpucnn.bench.session import Bench, Options

RANDOM = {"dropout forward"}  # PyTorch draws other numbers
PLACES = {"sgd", "rmsprop", "adam"}  # change their arrays in place


class Off:
    """A backend whose floating results are a little too large: all of them, or the last number."""

    def __init__(self, backend: Any, only_last: bool) -> None:
        self._backend = backend
        self._only_last = only_last

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name.endswith(
            ("_forward", "_backward", "_input", "_weight", "_grad", "matmul", "gather")
        ):
            return lambda *args, **kwargs: self._spoil(found(*args, **kwargs))
        if name.endswith("_update"):
            return lambda param, *args, **kwargs: (
                found(param, *args, **kwargs),
                self._spoil((param,)),
            )
        return found

    def _spoil(self, result: Any) -> Any:
        first = result[0] if isinstance(result, tuple) else result
        flat = first.reshape(-1)
        assert np.shares_memory(flat, first)
        at = np.abs(flat).argmax() if self._only_last else np.s_[:]
        flat[at] *= first.dtype.type(1.01)
        return result


def bench_of(**options: Any) -> Bench:
    return Bench(Options(**{"suite": "quick", "seconds": 0, **options}))


def cases(suite: str = "quick") -> list[Case]:
    return operations._cases(SimpleNamespace(options=Options(suite=suite)))  # type: ignore[arg-type]


NAMES = list(dict.fromkeys(case.name for case in cases()))


def of(name: str) -> list[Case]:
    return [case for case in cases() if case.name == name]


def check(bench: Bench, case: Case) -> tuple[float, float]:
    prepared = case.prepare(bench)
    assert prepared.check is not None
    return prepared.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_operation_is_right(backend, hasty, dtype):
    bench = bench_of(device=backend.name, dtype=dtype)
    rows = list(bench.run(["ops"]))
    assert [row.title for row in rows if row.ok is not True] == []
    assert len(rows) == bench.count(["ops"])
    assert {row.name for row in rows} == set(NAMES) - ({"gather"} if dtype == "float64" else set())
    assert all(row.flop > 0 and row.nbytes > 0 for row in rows)
    assert all((row.seconds is None) is (backend.name == "sim") for row in rows)


def test_data_is_fresh_in_every_call(hasty):
    errors = [[check(bench, c)[0] for c in of("conv2d forward")] for bench in (
        bench_of(seed=1), bench_of(seed=2), bench_of(seed=2)
    )]  # fmt: skip
    assert errors[0] != errors[1] == errors[2]


@pytest.mark.parametrize("only_last", [False, True], ids=["all", "one"])
@pytest.mark.parametrize("name", NAMES)
def test_an_operation_that_is_wrong_is_caught(hasty, name, only_last):
    bench = bench_of()
    bench.backend = Off(bench.backend, only_last)  # type: ignore[assignment]
    for case in of(name):
        found, bound = check(bench, case)
        assert found > bound, case


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RANDOM | PLACES])
def test_pytorch_computes_the_same(hasty, name):
    pytest.importorskip("torch")
    bench = bench_of(baselines=("torch",))
    for case in of(name):
        work = case.prepare(bench)
        (layouts,) = work.rivals.values()
        ours = _first(work.run())
        for layout, call in layouts.items():
            theirs = _first(call()).detach().numpy()
            assert theirs.shape == ours.shape, layout
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5, err_msg=layout)


def test_pytorch_has_both_layouts_where_there_are_images(hasty):
    pytest.importorskip("torch")
    bench = bench_of(baselines=("torch",))
    rows = {row.name: row for row in bench.run(["ops"])}
    assert all(isinstance(row, Row) and row.baselines["torch"].seconds for row in rows.values())
    works = {
        name: of(name)[0].prepare(bench).rivals["torch"] for name in ("matmul", "conv2d forward")
    }
    assert list(works["matmul"]) == ["contiguous"]
    assert list(works["conv2d forward"]) == ["contiguous", "channels_last"]


def _first(result: Any) -> Any:
    """The array, or the first of those that there are."""
    return next(r for r in result if r is not None) if isinstance(result, (tuple, list)) else result


@pytest.mark.parametrize("suite", ["quick", "mnist", "deepbench"])
def test_rows_have_names_of_their_own(suite):
    """By which a record is compared with another."""
    keys = [(case.name, case.case) for case in cases(suite)]
    assert len(keys) == len(set(keys))


def test_what_is_counted():
    """By hand, for a few."""
    found = {(c.name, c.case): c for c in cases("mnist")}
    conv = found["conv2d forward", "N64 28x28 1->32 3x3 p0 s1"]
    assert conv.flop == 2 * 64 * 32 * 26 * 26 * 9
    assert conv.values == 64 * 28 * 28 + 32 * 9 + 64 * 32 * 26 * 26
    dense = found["matmul a^T", "784x10x128"]
    assert dense.flop == 2 * 128 * 10 * 784
    assert dense.values == 128 * 784 + 128 * 10 + 784 * 10
    pool = found["max pool forward", "128x64x24x24 2x2 s2"]
    assert pool.values == 128 * 64 * (24 * 24 + 12 * 12)
    assert pool.more == 128 * 64 * 12 * 12
    assert found["adam", "1,199,882"].values == 7 * 1_199_882
    assert found["gather", "128x1x28x28"].more == 128 * 784 + 128 * 8
