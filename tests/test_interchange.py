"""Arrays of other libraries: taken over without a copy, given back on request, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn import functions as F
from gpucnn import interchange, nn, ops
from gpucnn.autograd import Tensor
from gpucnn.errors import DeviceError, DtypeError, UsageError


class ByDlpack:
    """An array of a library that shares its memory by DLPack."""

    device: tuple[int, int] = (1, 0)

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.dtype, self.shape, self.ndim = "theirs.float32", array.shape, array.ndim

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class ByArrayInterface:
    """An array of a library that shares its memory by NumPy's older protocol."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._array.__array_interface__


class ByCudaInterface:
    """An array on a GPU, of a library as Numba."""

    dtype = np.dtype(np.float32)
    shape = (3,)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": (3,), "typestr": "<f4", "data": (512, False), "version": 3}


def torch_tensor(array: np.ndarray) -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed").from_numpy(array)


KINDS = {"dlpack": ByDlpack, "array_interface": ByArrayInterface, "torch": torch_tensor}


@pytest.fixture(params=KINDS)
def theirs(request: pytest.FixtureRequest) -> Any:
    """Makes an array of another library of one of NumPy's, on the same memory."""
    return KINDS[request.param]


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def test_without_a_copy(theirs):
    array = numbers(2, 3)
    taken = interchange.native(theirs(array))
    assert type(taken) is np.ndarray
    assert np.shares_memory(taken, array)
    np.testing.assert_array_equal(taken, array)


def test_any_strides(theirs):
    array = numbers(4, 6).T[::2, 1:]
    np.testing.assert_array_equal(interchange.native(theirs(array)), array)


def test_primitives_take_them(theirs):
    x, w, b = numbers(2, 3, 6, 6), numbers(4, 3, 3, 3), numbers(4)
    want = ops.conv2d_forward(x, w, b, padding="same")
    got = ops.conv2d_forward(theirs(x), theirs(w), b=theirs(b), padding="same")
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(ops.conv2d_forward(theirs(x), w, b, padding="same"), want)


def test_updates_in_place_change_their_memory(theirs):
    param, grad = numbers(5), numbers(5)
    want = param - np.float32(0.5) * grad
    ops.sgd_update(theirs(param), theirs(grad), None, learning_rate=0.5)
    np.testing.assert_array_equal(param, want)
    ops.sgd_update([theirs(param)], [theirs(grad)], None, learning_rate=0.5)
    np.testing.assert_array_equal(param, want - np.float32(0.5) * grad)


def test_what_cannot_be_written_stays_so():
    array = numbers(5)
    array.flags.writeable = False
    with pytest.raises(UsageError, match="param is read-only"):
        ops.sgd_update(ByArrayInterface(array), numbers(5), None, learning_rate=0.5)


def test_tensors_and_layers_take_them(theirs):
    x, w = numbers(2, 3), numbers(2, 3)
    tensor = Tensor(theirs(w), requires_grad=True)
    for y in (theirs(x), Tensor(theirs(x))):
        loss = (tensor * y).sum()
        loss.backward()
        np.testing.assert_array_equal(tensor.grad, x)
        tensor.zero_grad()
    for operand in (lambda: tensor + theirs(x), lambda: F.add(theirs(x), tensor)):
        np.testing.assert_array_equal(operand().data, x + w)
    layer = nn.Dense(4)
    layer.build((3,), seed=1)
    np.testing.assert_array_equal(layer(theirs(x)).data, layer(x).data)
    np.testing.assert_array_equal((tensor > theirs(x)).data, w > x)
    np.testing.assert_array_equal(F.concat([theirs(x), tensor]).data, np.concatenate([x, w]))


def test_losses_take_them(theirs):
    logits, ids, targets = numbers(4, 3), np.array([0, 2, 1, 1]), numbers(4, 3)
    for loss, labels in ((F.softmax_cross_entropy, ids), (F.mean_squared_error, targets)):
        got = loss(theirs(logits), theirs(labels))
        assert got.item() == loss(logits, labels).item()


def test_ours_and_what_is_no_array_stay_what_they_are():
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    for value in (numbers(3), np.float32(1), 2.0, [1, 2], None, "text", Tensor([1.0]), masked):
        assert interchange.native(value) is value
    with pytest.raises(DtypeError, match="MaskedArray"):
        Tensor(masked)
    assert interchange.native(ByDlpack) is ByDlpack
    assert interchange.native(ByArrayInterface) is ByArrayInterface


def test_a_device_without_a_backend_is_named():
    array = ByDlpack(numbers(3))
    array.device = (8, 0)  # Metal
    with pytest.raises(DtypeError, match="device 8 of DLPack") as caught:
        ops.relu_forward(array)
    assert "x.cpu()" in str(caught.value)


@pytest.mark.parametrize("call", [ops.relu_forward, Tensor, F.relu, interchange.native])
@pytest.mark.parametrize("kind", ["dlpack", "cuda"])
def test_a_gpus_array_says_what_to_install(call, kind):
    if backends.choose()[0].name != "cpu":
        pytest.skip("there is a GPU")
    array = ByCudaInterface()
    if kind == "dlpack":
        array = ByDlpack(numbers(3))
        array.device = (2, 0)
    with pytest.raises(DeviceError) as caught:
        call(array)
    assert caught.value.fix == backends.cuda_problem().fix


def test_what_their_library_refuses_is_told():
    class Refusing(ByDlpack):
        def __dlpack__(self, **options: Any) -> Any:
            raise BufferError("it is sparse\nand more")

    with pytest.raises(DtypeError, match="Refusing cannot be shared") as caught:
        ops.relu_forward(Refusing(numbers(3)))
    assert caught.value.cause == "it is sparse"


class TestLike:
    def test_torch(self):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        x = torch.ones(2, 3)
        y = ops.relu_forward(x)
        back = interchange.like(y, x)
        assert type(back) is torch.Tensor
        assert back.data_ptr() == y.ctypes.data
        np.testing.assert_array_equal(back.numpy(), y)

    @pytest.mark.parametrize(
        "array",
        [numbers(3)[::-1], numbers(3, 4)[:, ::-2], numbers(3, 4).T, np.float32(2), numbers(0, 2)],
    )
    def test_torch_from_any_strides(self, array):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        there = interchange.like(array, torch.ones(1))
        np.testing.assert_array_equal(there.numpy(), array)

    def test_torch_from_what_it_does_not_know(self):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        with pytest.raises(DtypeError, match="cannot be made like a torch"):
            interchange.like(np.ones(3, ">f4"), torch.ones(1))

    def test_negative_strides_are_copied(self):
        class Namespaced(ByDlpack):
            def __array_namespace__(self) -> Any:
                return self

            def from_dlpack(self, array: Any) -> Any:
                return array

        given = interchange.like(numbers(3)[::-1], Namespaced(numbers(3)))
        assert given.strides == (4,)
        np.testing.assert_array_equal(given, numbers(3)[::-1])

    def test_the_array_api(self):
        class Namespaced(ByDlpack):
            def __array_namespace__(self) -> Any:
                return self

            def from_dlpack(self, array: Any) -> Any:
                return "theirs", array

        y = numbers(3)
        assert interchange.like(y, Namespaced(numbers(3))) == ("theirs", y)

    def test_ours(self):
        y = numbers(3)
        assert interchange.like(y, numbers(1)) is y

    @pytest.mark.parametrize("other", [ByArrayInterface(numbers(3)), 3.0, [1.0], None])
    def test_others_are_refused(self, other):
        with pytest.raises(DtypeError, match="no array can be made like"):
            interchange.like(numbers(3), other)

    def test_only_arrays_of_ours(self):
        with pytest.raises(DtypeError, match="list"):
            interchange.like([1.0], numbers(3))


class TestTorch:
    """What PyTorch's tensors have and arrays do not."""

    @pytest.fixture
    def torch(self) -> Any:
        return pytest.importorskip("torch", reason="PyTorch is not installed")

    def test_a_gradient_that_would_be_lost(self, torch):
        with pytest.raises(DtypeError) as caught:
            Tensor(torch.ones(3, requires_grad=True))
        assert "x.detach()" in caught.value.fix

    def test_a_negative_view(self, torch):
        view = torch.imag(torch.tensor([1 + 2j, 3 - 4j]).conj())
        assert Tensor(view).numpy().tolist() == [-2, 4]

    @pytest.mark.parametrize("kind", ["bfloat16", "meta", "sparse", "nested"])
    def test_no_arrays(self, torch, kind):
        value = {
            "bfloat16": lambda: torch.ones(3, dtype=torch.bfloat16),
            "meta": lambda: torch.ones(3, device="meta"),
            "sparse": lambda: torch.eye(3).to_sparse_csr(),
            "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        }
        with pytest.warns() if kind in ("sparse", "nested") else np.errstate():
            made = value[kind]()
        with pytest.raises(DtypeError):
            ops.relu_forward(made)
