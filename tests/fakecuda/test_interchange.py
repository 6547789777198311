"""Arrays of other libraries on a GPU: CuPy takes them over, and waits for their stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakecuda import run

from gpucnn import interchange, ops
from gpucnn.autograd import Tensor

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())


class ByDlpack:
    def __init__(self, array: Any) -> None:
        self._array = array
        self.dtype, self.shape = "theirs.float32", array.shape
        self.streams: list[Any] = []

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        self.streams.append(stream)
        return self._array.__dlpack__(stream=stream, **options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


class ByCudaInterface:
    def __init__(self, array: Any) -> None:
        self._array = array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self._array.__cuda_array_interface__


@pytest.fixture(params=[ByDlpack, ByCudaInterface])
def theirs(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_without_a_copy(cupy: Any, theirs: Any) -> None:
    array = cupy.arange(6, dtype=np.float32).reshape(2, 3)
    taken = interchange.native(theirs(array))
    assert type(taken) is cupy.ndarray
    assert taken.data.ptr == array.data.ptr
    assert Tensor(theirs(array)).data.data.ptr == array.data.ptr


def test_primitives(cupy: Any, theirs: Any) -> None:
    x = np.array([[-1, 2]], np.float32)
    y = ops.relu_forward(theirs(cupy.asarray(x)))
    assert y.get().tolist() == [[0, 2]]
    ops.sgd_update(theirs(y), y.copy(), None, learning_rate=0.5)
    assert y.get().tolist() == [[0, 1]]


def test_the_current_stream_is_named(cupy: Any) -> None:
    array = ByDlpack(cupy.zeros(3, np.float32))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        interchange.native(array)
    interchange.native(array)
    null = 1  # of DLPack, for the legacy stream
    assert array.streams == [stream.ptr, null]


def test_the_stream_of_the_interface_is_waited_for(cupy: Any) -> None:
    import fake_driver

    stream = cupy.cuda.Stream(non_blocking=True)

    class OnStream(ByCudaInterface):
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return super().__cuda_array_interface__ | {"stream": stream.ptr}

    before = fake_driver.counters()
    interchange.native(OnStream(cupy.zeros(3, np.float32)))
    assert (fake_driver.counters() - before)["stream sync"] == 1


def test_like(cupy: Any) -> None:
    y = cupy.zeros(3, np.float32)
    assert interchange.like(y, cupy.ones(1)) is y
