"""`gpucnn bench ops`: the rows of the operations, which cases.py lists."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from gpucnn.backend.cuda.algorithms import ALGORITHMS, ALGORITHMS_OF, force_algorithm
from gpucnn.bench.baselines import Torch
from gpucnn.bench.cases import Operation, operations
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Task, Work
from gpucnn.bench.stopwatch import Call
from gpucnn.bench.verify import dtype_of, verify
from gpucnn.errors import UsageError, choose


def tasks(bench: Bench) -> list[Task]:
    """A row for each operation of the suite that the call's dtype and algorithm have.

    Raises:
        UsageError: an algorithm is forced, and the device has none, or there is no such algorithm.
    """
    only_float32 = {"gather"}
    algorithm = bench.options.algorithm
    if algorithm is not None:
        choose(dict.fromkeys(ALGORITHMS), algorithm, "algorithm", " (from --algorithm)")
        with force_algorithm(bench.backend, "conv2d_forward", algorithm):
            pass  # refuses a device without kernels
    return [
        partial(_measure, bench, operation)
        for operation in operations(bench.options.suite)
        if bench.options.dtype == "float32" or operation.name not in only_float32
        if algorithm is None or algorithm in ALGORITHMS_OF.get(operation.primitive, ())
    ]


def _measure(bench: Bench, operation: Operation) -> BenchRow:
    dtype = bench.options.dtype
    nbytes = operation.values * np.dtype(dtype).itemsize + operation.nbytes
    row = BenchRow("ops", operation.name, operation.case, dtype, operation.flop, nbytes)
    algorithm = bench.options.algorithm
    if algorithm is None:
        return bench.guarded(row, lambda: work(bench, operation))
    with force_algorithm(bench.backend, operation.primitive, algorithm):
        try:
            return bench.guarded(row, lambda: work(bench, operation))
        except UsageError as error:  # the algorithm does not take these sizes or this dtype
            return replace(row, skipped=error.message)


def work(bench: Bench, operation: Operation) -> Work:
    """An operation on operands of its own; PyTorch's gets copies of them."""
    backend, arrays = bench.backend, operation.operands(bench)
    check = partial(verify, operation.ours, backend, arrays, operation.terms)
    is_reference = backend.name == "cpu" and dtype_of(arrays) == "float64"  # verifies the others

    def torch_call(torch: Torch, layout: str) -> Call:
        return operation.torch(torch.torch, *(torch.array(array, layout) for array in arrays))

    return Work(
        operation.ours(backend, *map(backend.asarray, arrays)),
        None if is_reference else check,
        bench.torch_calls(torch_call, images=any(array.ndim == 4 for array in arrays)),
        held=True,
    )
