"""The rows of `gpucnn bench ops`: right on every device, caught when wrong, as PyTorch's are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from selection import slow_except

from gpucnn.backend.cuda.algorithms import ALGORITHMS
from gpucnn.bench import operations
from gpucnn.bench.cases import Operation
from gpucnn.bench.session import Bench, Options
from gpucnn.errors import UsageError

RANDOM = {"dropout forward"}  # PyTorch draws other numbers
IN_PLACE = {"sgd", "rmsprop", "adam"}


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


NAMES = list(dict.fromkeys(each.name for each in operations.operations("quick")))


def of(name: str) -> list[Operation]:
    return [each for each in operations.operations("quick") if each.name == name]


def check(bench: Bench, operation: Operation) -> tuple[float, float]:
    prepared = operations.work(bench, operation)
    assert prepared.check is not None
    return prepared.check()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_operation_is_right(backend, hasty, dtype):
    bench = bench_of(device=backend.name, dtype=dtype)
    rows = list(bench.run(bench.tasks(["ops"])))
    is_reference = backend.name == "cpu" and dtype == "float64"
    assert [row.title for row in rows if row.ok is not (None if is_reference else True)] == []
    assert {row.name for row in rows} == set(NAMES) - ({"gather"} if dtype == "float64" else set())
    assert all(row.flop > 0 and row.nbytes > 0 for row in rows)
    assert all((row.seconds is None) is (backend.name == "sim") for row in rows)


@pytest.mark.parametrize("only_last", [False, True], ids=["all", "one"])
@pytest.mark.parametrize("name", slow_except(NAMES, "conv2d forward", "matmul", "adam"))
def test_an_operation_that_is_wrong_is_caught(hasty, name, only_last):
    bench = bench_of()
    bench.backend = Off(bench.backend, only_last)  # type: ignore[assignment]
    for operation in of(name):
        found, bound = check(bench, operation)
        assert found > bound, operation


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("helper", ["_contiguous", "_int32", "_scalar"])
def test_a_timed_call_converts_nothing(gpu, hasty, monkeypatch, name, helper):
    """The operands have the types and layouts that kernels take."""
    bench = bench_of(device=gpu.name, verify=False)
    runs = [operations.work(bench, operation).run for operation in of(name)]
    convert = getattr(gpu, helper)

    def checked(array: Any, *rest: Any) -> Any:
        assert convert(array, *rest) is array
        return array

    monkeypatch.setattr(gpu, helper, checked)
    for run in runs:
        run()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in RANDOM | IN_PLACE])
def test_pytorch_computes_the_same(hasty, name):
    pytest.importorskip("torch")
    bench = bench_of(baselines=("torch",))
    for operation in of(name):
        work = operations.work(bench, operation)
        ours = _first(work.run())
        for layout, call in work.torch.items():
            theirs = _first(call()).detach().numpy()
            assert theirs.shape == ours.shape, layout
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5, err_msg=layout)


@pytest.mark.parametrize("name", sorted(IN_PLACE))
def test_pytorch_updates_its_parameters(hasty, name):
    pytest.importorskip("torch")
    bench = bench_of(baselines=("torch",))
    (operation,) = of(name)
    kept = []

    def spied(torch: Any, param: Any, *rest: Any) -> Any:
        kept.extend([param, param.clone()])
        return operation.torch(torch, param, *rest)

    (step,) = operations.work(bench, operation._replace(torch=spied)).torch.values()
    step()
    after, before = kept
    assert not (after == before).any()


@pytest.mark.slow
def test_pytorch_has_both_layouts_where_there_are_images(hasty):
    pytest.importorskip("torch")
    bench = bench_of(baselines=("torch",))
    rows = list(bench.run(bench.tasks(["ops"])))
    assert all(row.baselines["torch"].seconds for row in rows)
    layouts = {
        name: list(operations.work(bench, of(name)[0]).torch)
        for name in ("matmul", "conv2d forward")
    }
    assert layouts["matmul"] == ["contiguous"]
    assert layouts["conv2d forward"] == ["contiguous", "channels_last"]


def _first(result: Any) -> Any:
    """The array, or the first of those that there are."""
    return next(r for r in result if r is not None) if isinstance(result, (tuple, list)) else result


@pytest.mark.parametrize("suite", ["quick", "mnist", "deepbench"])
def test_rows_have_names_of_their_own(suite):
    """By which a record is compared with another."""
    keys = [(each.name, each.case) for each in operations.operations(suite)]
    assert len(keys) == len(set(keys))


def test_rows_are_those_of_the_records(root):
    """A saved record can be compared only with rows of the same names and counts."""
    from gpucnn.bench.record import Record

    (file,) = (root / "docs" / "benchmarks").glob("*.json")
    kept = [row for row in Record.load(file).rows if row.bench == "ops"]
    found = {}
    for each in operations.operations("deepbench"):
        nbytes = each.values * 4 + each.nbytes
        if each.name == "gather":  # the record was made with int64 indices, 4 bytes longer
            nbytes += 4 * int(each.case.split("x")[0])
        found[each.name, each.case] = (each.flop, nbytes)
    assert {(row.name, row.case): (row.flop, row.nbytes) for row in kept} == found


def test_flop_and_bytes_by_hand():
    found = {(each.name, each.case): each for each in operations.operations("mnist")}
    conv = found["conv2d forward", "N64 28x28 1->32 3x3 p0 s1"]
    assert conv.flop == 2 * 64 * 32 * 26 * 26 * 9
    assert conv.values == 64 * 28 * 28 + 32 * 9 + 64 * 32 * 26 * 26
    dense = found["matmul a^T", "784x10x128"]
    assert dense.flop == 2 * 128 * 10 * 784
    assert dense.values == 128 * 784 + 128 * 10 + 784 * 10
    pool = found["max pool forward", "128x64x24x24 2x2 s2"]
    assert pool.values == 128 * 64 * (24 * 24 + 12 * 12)
    assert pool.nbytes == 128 * 64 * 12 * 12
    assert found["adam", "1,199,882"].values == 7 * 1_199_882
    assert found["gather", "128x1x28x28"].nbytes == 128 * 784 + 128 * 4


@pytest.mark.parametrize("name", ["forward", "backward_input", "backward_weight"])
def test_terms_are_the_products_of_the_longest_sum(hasty, name):
    """Sums of ones count them."""
    bench = bench_of()
    bench.noise = lambda *shape: np.ones(shape, np.float32)  # type: ignore[method-assign]
    for operation in of(f"conv2d {name}"):
        longest = operation.ours(bench.backend, *operation.operands(bench))().max()
        if name == "backward_input" and "s2" in operation.case:
            assert longest < operation.terms[0]  # a stride of 2 meets some of the taps
        else:
            assert longest == operation.terms[0]


def test_maxima_are_the_same_in_float32(hasty):
    """The operands of the fused backward pass make the convolution exact."""
    from gpucnn.backend.cpu.backend import CpuBackend

    bench = bench_of()
    for operation in of("conv2d pool backward"):
        x, w, bias, _ = operation.operands(bench)
        narrow, wide = (
            CpuBackend().conv2d_forward(*(a.astype(dtype) for a in (x, w, bias)))
            for dtype in ("float32", "float64")
        )
        np.testing.assert_array_equal(narrow, wide)
        np.testing.assert_array_equal(bench.backend.conv2d_forward(x, w, bias), wide)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_computes_every_row_that_has_it(gpu, hasty, monkeypatch, algorithm):
    launched = []
    launch = gpu.launcher.launch

    def spied(source: str, kernel: str, *args: Any, **options: Any) -> None:
        launched.append(kernel)
        launch(source, kernel, *args, **options)

    monkeypatch.setattr(gpu.launcher, "launch", spied)
    bench = bench_of(device=gpu.name, algorithm=algorithm)
    rows = list(bench.run(operations.tasks(bench)))
    assert {row.name.partition(" ")[0] for row in rows} == (
        {"conv2d"} if algorithm == "direct" else {"conv2d", "matmul"}
    )
    measured = [row for row in rows if row.skipped is None]
    assert {row.name for row in measured} == {row.name for row in rows}
    assert all(row.ok for row in measured)
    kernels = {name for name in launched if name.startswith(("conv2d", "matmul"))}
    assert {name.rpartition("_")[2] for name in kernels} == {algorithm}
    assert gpu.launcher.algorithm is None
    for row in rows:
        if row.skipped is not None:
            assert algorithm in row.skipped


def test_an_algorithm_is_one_of_the_kernels(hasty):
    with pytest.raises(UsageError, match="cpu has no algorithm 'shared'"):
        operations.tasks(bench_of(device="cpu", algorithm="shared"))


def test_an_algorithm_that_does_not_exist(gpu, hasty):
    with pytest.raises(UsageError, match="unknown algorithm 'sharde'") as caught:
        operations.tasks(bench_of(device=gpu.name, algorithm="sharde"))
    assert "did you mean shared" in caught.value.fix
