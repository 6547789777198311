"""Which backend one gets, from a device's name or from arrays; what refusals say."""

from __future__ import annotations

import numpy as np
import pytest

import gpucnn.backend
from gpucnn import Tensor, nn
from gpucnn.errors import DeviceError, DtypeError, UsageError


def test_a_device_is_one_object(backend):
    again = gpucnn.backend.get(backend.name)
    assert again is backend


def test_arrays_go_in_and_come_out(backend, rng):
    for dtype in ("float32", "float64", "int32", "int64", "uint8", "uint32"):
        array = (rng.random((2, 3)) * 9).astype(dtype)
        there = backend.asarray(array)
        back = backend.to_numpy(there)
        assert type(back) is np.ndarray
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)
        assert gpucnn.backend.of(there) is backend
    assert backend.to_numpy(backend.asarray(array, dtype="float32")).dtype == np.float32
    assert backend.to_numpy(backend.asarray(np.float32(2.5))).shape == ()


def test_of_takes_several_arrays(backend):
    a, b = backend.asarray(np.ones(2)), backend.asarray(np.ones((3, 3), dtype=np.float32))
    assert gpucnn.backend.of(a, b) is backend


def test_of_takes_numbers_of_numpy(backend):
    a = backend.asarray(np.ones(2, np.float32))
    assert gpucnn.backend.of(a, np.float32(2)) is backend
    assert gpucnn.backend.of(np.float32(2)) is gpucnn.backend.get("cpu")
    x = Tensor(a, requires_grad=True)
    for y in (x * np.float32(2), np.float32(2) * x):
        x.zero_grad()
        y.sum().backward()
        np.testing.assert_array_equal(y.numpy(), [2, 2])
        np.testing.assert_array_equal(backend.to_numpy(x.grad), [2, 2])


def test_of_passes_over_none(backend):
    assert gpucnn.backend.of(None, backend.asarray(np.ones(2))) is backend
    for nothing in ((), (None,)):
        with pytest.raises(DtypeError):
            gpucnn.backend.of(*nothing)


@pytest.mark.parametrize("not_array", [[1.0, 2.0], 3.0, "x"])
def test_of_something_that_is_no_array(not_array):
    with pytest.raises(DtypeError) as caught:
        gpucnn.backend.of(not_array)
    assert caught.value.fix
    with pytest.raises(DtypeError):
        gpucnn.backend.of(np.ones(2), not_array)


@pytest.mark.parametrize("device", ["gpu", "", "cuda:", "cuda:x", "cpu:1", "CPU"])
def test_an_unknown_device_lists_the_known(device):
    with pytest.raises(UsageError) as caught:
        gpucnn.backend.get(device)
    assert repr(device) in caught.value.message
    assert "cpu" in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize("device", [None, 0, b"cpu", ["cpu"], ("cuda", 1), np.ones(2)])
def test_a_device_that_is_no_name(device):
    build = nn.Sequential([nn.Dense(1)]).build
    for call in (gpucnn.backend.get, lambda device: build((3,), device=device)):
        with pytest.raises(UsageError, match=f"the device is a {type(device).__name__}") as caught:
            call(device)
        assert "cuda:1" in caught.value.fix


def test_auto_says_what_it_chose_and_why():
    chosen, why = gpucnn.backend.choose()
    assert chosen is gpucnn.backend.get(chosen.name)
    assert gpucnn.backend.get("auto") is chosen
    assert chosen.name != "cpu" or "CUDA" in why


def test_a_device_that_is_asked_for_is_never_replaced(no_gpu):
    for device in ("cuda", "cuda:1"):
        with pytest.raises(DeviceError, match=device) as caught:
            gpucnn.backend.get(device)
        assert caught.value.exit_code == 3
        assert caught.value.cause
        assert caught.value.fix


@pytest.fixture
def no_gpu():
    try:
        gpucnn.backend.get("cuda")
    except DeviceError:
        return
    pytest.skip("there is a GPU")
