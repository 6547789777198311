"""Forcing one algorithm of the kernels."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn.backend.cuda.algorithms import ALGORITHMS, ALGORITHMS_OF, force_algorithm
from gpucnn.errors import UsageError


@pytest.fixture
def launched(gpu, monkeypatch):
    """The names of the kernels that are launched."""
    names = []
    launch = type(gpu.launcher).launch

    def note(self, source, kernel, *args, **options):
        names.append(kernel)
        launch(self, source, kernel, *args, **options)

    monkeypatch.setattr(type(gpu.launcher), "launch", note)
    return names


def arrays(gpu):
    x, w, grad_y = (
        gpu.asarray(np.ones(shape, np.float32))
        for shape in ((2, 3, 5, 5), (4, 3, 3, 3), (2, 4, 3, 3))
    )
    return x, w, grad_y


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_primitive_launches_the_kernel_that_is_forced(gpu, launched, algorithm):
    x, w, grad_y = arrays(gpu)
    calls = {
        "conv2d_forward": lambda: gpu.conv2d_forward(x, w),
        "conv2d_backward_input": lambda: gpu.conv2d_backward_input(grad_y, w, x.shape),
        "conv2d_backward_weight": lambda: gpu.conv2d_backward_weight(grad_y, x, w.shape),
        "matmul": lambda: gpu.matmul(x[0, 0], x[0, 0]),
    }
    assert calls.keys() == ALGORITHMS_OF.keys()
    for primitive, call in calls.items():
        if algorithm in ALGORITHMS_OF[primitive]:
            launched.clear()
            with force_algorithm(gpu, primitive, algorithm):
                call()
            assert launched[0] == f"{primitive}_{algorithm}"


def test_the_choice_returns_to_what_it_was(gpu, launched):
    x, w, _ = arrays(gpu)
    with force_algorithm(gpu, "conv2d_forward", "tiled"):
        with pytest.raises(ZeroDivisionError), force_algorithm(gpu, "conv2d_forward", "shared"):
            raise ZeroDivisionError
        gpu.conv2d_forward(x, w)
    gpu.conv2d_forward(x, w)
    assert launched == ["conv2d_forward_tiled", "conv2d_forward_direct"]


@pytest.mark.parametrize(
    ("primitive", "algorithm", "words", "fix"),
    [
        ("matmul", "direct", "matmul has no algorithm 'direct'", "naive, shared, tiled"),
        ("conv2d_forward", "fast", "conv2d_forward has no algorithm 'fast'", "tiled, direct"),
        ("max_pool2d_forward", "shared", "max_pool2d_forward has no", "leave the algorithm"),
    ],
)
def test_a_primitive_that_has_no_such_algorithm(gpu, primitive, algorithm, words, fix):
    with (
        pytest.raises(UsageError, match=words) as caught,
        force_algorithm(gpu, primitive, algorithm),
    ):
        pass
    assert caught.value.cause
    assert fix in caught.value.fix


def test_a_backend_without_kernels():
    with (
        pytest.raises(UsageError, match="cpu has no algorithm 'shared'") as caught,
        force_algorithm(backends.get("cpu"), "conv2d_forward", "shared"),
    ):
        pass
    assert "sim" in caught.value.fix
