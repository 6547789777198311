"""Weights of PyTorch networks: their names and layouts, without PyTorch.

PyTorch stores the weight of a linear layer as (out, in), a Dense here as (in, out). It calls gamma
and beta of a normalization weight and bias. Convolutions, and rows of flattened images, are equal.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from gpucnn.autograd import Tensor
from gpucnn.errors import (
    DataError,
    DivergedError,
    DtypeError,
    WeightsMismatchError,
    cause_of,
    expect,
)
from gpucnn.nn.state import by_layer, copy_in, join, owned
from gpucnn.quoting import quoted

if TYPE_CHECKING:
    from gpucnn.nn.module import Module

_KINDS = ("weight", "bias", "running_mean", "running_var")  # in the order of a layer's state
_COUNTER = "num_batches_tracked"  # of batch norms; nothing here uses it
_WRAPPERS = ("module.", "_orig_mod.")  # which DataParallel and torch.compile put before all names


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

        The arrays are found by name. If no layer has the same name in both, they are found by their
        order, which must then give each array its shape. A file does not keep the order; in it,
        layers of equal shapes are taken by the numbers in their names, as in "features.0.weight"
        and "features.3.weight", or "conv1.weight" and "conv2.weight".

        "module." and "_orig_mod." before all names are left out. Weights of dense layers are
        transposed, gamma and beta of normalizations are called weight and bias there, and
        num_batches_tracked is dropped. All of it is copied or, on error, nothing.

        Args:
            state: what `state_dict()` gives in PyTorch, tensors or arrays by name; or the path of a
                .safetensors file of them. PyTorch need not be installed.
            strict: whether names that are missing or unexpected are an error. If not, they are left
                out, and the order of the arrays is never used.

        Raises:
            WeightsMismatchError: it lists missing, unexpected and wrongly shaped entries, by the
                names and shapes of PyTorch.
            DataError: there is no such file, or it is no .safetensors file.
            DtypeError: an entry is no array of numbers on the host, or of a type that NumPy does
                not have, such as bfloat16.
            DivergedError: an entry has a number that is not finite.
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
    given = _unwrapped(given, arrays)
    missing = [name for name in arrays if name not in given]
    unexpected = [name for name in given if name not in arrays]
    share_layers = not _layers(arrays).keys().isdisjoint(_layers(given))
    if strict and missing and not share_layers:
        ordered = _by_numbers(arrays, given) if in_file else given
        if _in_order(arrays, ordered):
            given = dict(zip(arrays, ordered.values(), strict=True))
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
        if strict and share_layers and missing and unexpected:
            error.fix = "name all layers as there: some have the same names; " + error.fix
        elif in_file and missing:
            error.fix = (
                "name the layers as there: a .safetensors file does not keep the order of its"
                " arrays, and their shapes and numbers do not tell it; or give the state_dict()"
                " itself"
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


def _unwrapped(given: dict[str, np.ndarray], arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays without a word of `_WRAPPERS` before all names."""
    for word in _WRAPPERS * 2:  # either may be around the other
        there = (all(name.startswith(word) for name in names) for names in (given, arrays))
        if [*there] == [True, False]:
            given = {name.removeprefix(word): array for name, array in given.items()}
    return given


def _layers(arrays: Mapping[str, Any]) -> dict[str, list[str]]:
    """Path of a layer -> the names of its arrays."""
    found: dict[str, list[str]] = {}
    for name in arrays:
        found.setdefault(name.rpartition(".")[0], []).append(name)
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
    if not np.isfinite(array).all():
        raise DivergedError(
            "the PyTorch weights cannot be used",
            cause=f"{name} is not finite",
            fix="use weights of another training",
        )
    return array


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors file, which may be of any program."""
    from gpucnn import tensor_files  # late: few programs need the package safetensors

    fix = "in PyTorch, write safetensors.torch.save_file(net.state_dict(), path)"
    try:
        found, _ = tensor_files.read(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read", cause=cause_of(error), fix="check the path"
        ) from error
    except TypeError as error:
        raise DtypeError(
            f"{path} has numbers of a type that NumPy does not have",
            cause=quoted(error),
            fix="in PyTorch, write net.float().state_dict() as the file",
        ) from error
    except ValueError as error:
        raise DataError(
            f"{path} is no .safetensors file of numbers", cause=quoted(error), fix=fix
        ) from error
    return found


def _by_numbers(
    arrays: Mapping[str, Any], given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of a file in the order of those of the module; empty if nothing tells it.

    A layer there is for a layer of the same shapes here. Where several have these shapes, numbers
    must tell their order, as in conv1 and conv2: that of words, as in encoder and decoder, is not
    known. Numbers must not contradict the order, either.
    """
    if len(arrays) != len(given):
        return {}
    there = {layer: sorted(names, key=_kind) for layer, names in _layers(given).items()}
    parts = {layer: _parts(layer) for layer in there}
    waiting: dict[Any, list[str]] = {}  # the shapes of a layer -> layers of these shapes
    for layer in sorted(there, key=parts.__getitem__):
        shapes = [given[name].shape for name in there[layer]]
        others = [given[name].shape for name in there[layer] if _kind(name)[0] == len(_KINDS)]
        if len(set(others)) < len(others):
            return {}
        waiting.setdefault(tuple(shapes), []).append(layer)
    for layers in waiting.values():
        pairs = itertools.combinations([parts[layer] for layer in layers], 2)
        if not all(_numbers_differ(*pair) for pair in pairs):
            return {}
    order = []
    for names in _layers(arrays).values():
        layers = waiting.get(tuple(arrays[name].shape for name in names), [])
        if not layers:
            return {}
        order.append(layers.pop(0))
    for one, other in itertools.combinations([parts[layer] for layer in order], 2):
        if one > other and _numbers_differ(one, other):
            return {}
    return {name: given[name] for layer in order for name in there[layer]}


def _kind(name: str) -> tuple[int, str]:
    """The place of an array in its layer."""
    kind = name.rpartition(".")[2]
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind


def _parts(layer: str) -> list[tuple[str, int]]:
    """The words of a path, and the number behind each: ("conv", 1), or -1."""
    found = (re.fullmatch(r"(.*?)([0-9]{0,9})", part, re.DOTALL) for part in layer.split("."))
    return [(match[1], int(match[2] or -1)) for match in found if match]


def _numbers_differ(one: list[tuple[str, int]], other: list[tuple[str, int]]) -> bool:
    """Whether two paths differ first in a number, which tells their order."""
    for (word, number), (twin, another) in zip(one, other, strict=False):
        if (word, number) != (twin, another):
            return word == twin and -1 not in (number, another)
    return False
