"""Weights of PyTorch networks: their names and layouts, without PyTorch.

PyTorch stores the weight of a linear layer as (out, in), a Dense here as (in, out). It calls gamma
and beta of a normalization weight and bias. Convolutions, and rows of flattened images, are equal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from gpucnn import files
from gpucnn.autograd import Tensor
from gpucnn.errors import DataError, DtypeError, WeightsMismatchError, expect
from gpucnn.nn.state import by_layer, copy_in, join, owned
from gpucnn.quoting import quoted

if TYPE_CHECKING:
    from gpucnn.nn.module import Module

_KINDS = ("weight", "bias", "running_mean", "running_var")  # in the order of a layer's state
_COUNTER = "num_batches_tracked"  # of batch norms; nothing here uses it


class TorchKeys(NamedTuple):
    """What `load_torch_state` left out with strict=False, as in PyTorch.

    Attributes:
        missing_keys: names that PyTorch would use, which the state does not have.
        unexpected_keys: names in the state that the module does not have.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


class LoadsTorchState:
    """The part of `gpucnn.nn.Module` that takes weights of PyTorch.

    Attributes:
        torch_names: name of an array of its own -> its name in PyTorch, where that differs.
        torch_transposed: names of its own arrays that PyTorch stores transposed.
    """

    torch_names: ClassVar[Mapping[str, str]] = {}
    torch_transposed: ClassVar[tuple[str, ...]] = ()

    def load_torch_state(
        self, state: Mapping[str, Any] | str | os.PathLike[str], strict: bool = True
    ) -> TorchKeys:
        """Copy the weights of a PyTorch network of the same layers into this (built) module.

        The arrays are found by name. If the names differ, they are found by their order, which must
        then give each array its shape. A file does not keep the order; in it the layers are taken
        by the numbers in their names, as in "features.0.weight".

        Weights of dense layers are transposed, gamma and beta of normalizations are called weight
        and bias there, and num_batches_tracked is dropped. All of it is copied or, on error,
        nothing.

        Args:
            state: what `state_dict()` gives in PyTorch, tensors or arrays by name; or the path of a
                .safetensors file of them. PyTorch need not be installed.
            strict: whether names that are missing or unexpected are an error. If not, they are left
                out, and the order of the arrays is never used.

        Raises:
            WeightsMismatchError: it lists missing, unexpected and wrongly shaped entries, by the
                names and shapes of PyTorch.
            DataError: there is no such file, or it is no .safetensors file.
            DtypeError: an entry is no array of numbers on the host.
        """
        return _load(self, state, strict)  # type: ignore[arg-type]


def _load(
    module: Module, state: Mapping[str, Any] | str | os.PathLike[str], strict: bool
) -> TorchKeys:
    module.require_built()
    in_file = isinstance(state, (str, os.PathLike))
    if isinstance(state, (str, os.PathLike)):
        state = _read(Path(state))
    expect(state, Mapping, "the state", "give state_dict() of the PyTorch network, or a path")
    arrays = _as_in_torch(module)
    given = {
        str(name): _array(str(name), value)
        for name, value in state.items()
        if str(name).rpartition(".")[2] != _COUNTER
    }
    missing = [name for name in arrays if name not in given]
    unexpected = [name for name in given if name not in arrays]
    if strict and missing and _in_order(arrays, given):
        given = dict(zip(arrays, given.values(), strict=True))
        missing, unexpected = [], []
    if not strict:
        arrays = {name: array for name, array in arrays.items() if name in given}
        given = {name: given[name] for name in arrays}
    try:
        copy_in(arrays, given, f"the PyTorch weights for {module.display_name}")
    except WeightsMismatchError as error:
        error.fix = "make the layers of the PyTorch network, in its order"
        if strict and (missing or unexpected):
            error.fix += "; strict=False leaves out what is missing or unexpected"
        if in_file and missing:
            error.fix = (
                "name the layers as there: a .safetensors file does not keep the order of its"
                " arrays; or give the state_dict() itself"
            )
        raise
    return TorchKeys(missing, unexpected)


def _as_in_torch(module: Module) -> dict[str, Any]:
    """The arrays of a module by their names in PyTorch, in its layout and order: views."""
    arrays, found = by_layer(module), {}
    for path, layer in module.named_modules():
        for name in (*owned(layer, Tensor), *layer.buffers):
            array = arrays.get(join(path, name))
            if array is None:  # it is shared, and listed before
                continue
            there = join(path, layer.torch_names.get(name, name))
            found[there] = array.T if name in layer.torch_transposed else array
    return found


def _in_order(arrays: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether the arrays have the same shapes in the same order, and are of the same kinds."""
    if len(arrays) != len(given):
        return False
    for (own, array), (name, other) in zip(arrays.items(), given.items(), strict=True):
        kinds = {each.rpartition(".")[2] for each in (own, name)}
        if array.shape != other.shape or (len(kinds) > 1 and kinds <= {*_KINDS}):
            return False
    return True


def _array(name: str, value: Any) -> np.ndarray:
    """A tensor of PyTorch, or any array, as a NumPy array."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"it is of {array.dtype}")
    except (TypeError, ValueError, RuntimeError) as error:
        raise DtypeError(
            f"{name} is no array of numbers on the host",
            cause=str(error).partition("\n")[0],
            fix="give tensor.detach().cpu().float() for each tensor",
        ) from error
    return array


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors file, which may be of any program."""
    import safetensors
    import safetensors.numpy

    fix = "in PyTorch, write safetensors.torch.save_file(net.state_dict(), path)"
    try:
        files.check_regular(path)
        found = safetensors.numpy.load_file(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read", cause=error.strerror or str(error), fix="check the path"
        ) from error
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} is no .safetensors file of numbers", cause=quoted(error), fix=fix
        ) from error
    return {name: found[name] for name in sorted(found, key=_place)}


def _place(name: str) -> tuple[Any, ...]:
    """The place of an array in a file, which does not keep their order: by the numbers in names."""
    layer, _, kind = name.rpartition(".")
    numbers = [(int(part), "") if part.isdecimal() else (-1, part) for part in layer.split(".")]
    return numbers, _KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind
