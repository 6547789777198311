"""The arrays of a tree of modules: listing, moving, saving and loading them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError, WeightsMismatchError, expect

if TYPE_CHECKING:
    from gpucnn.nn.module import Module

Owned = TypeVar("Owned")

_SHOWN = 8  # entries of each kind that an error lists before it says how many more there are


def join(path: str, name: str) -> str:
    """The path of `name` below `path`."""
    return f"{path}.{name}" if path else name


def owned(module: Module, kind: type[Owned]) -> dict[str, Owned]:
    """Name -> each object of a kind that a module has as an attribute.

    Also those in attributes that are lists, tuples and dicts, in which these may be nested; the
    name is then that of the attribute with indices and keys: "blocks.0", "heads.digit.1".

    Raises:
        UsageError: two objects have one name, as with the keys 1 and "1" of a dict.
    """
    found: dict[str, Owned] = {}
    for name, value in _members("", vars(module)):
        if isinstance(value, kind) and found.setdefault(name, value) is not value:
            raise UsageError(
                f"{module.display_name} has two different {name!r}", fix="rename one of them"
            )
    return found


def _members(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every object in nested lists, tuples and dicts, with its path."""
    if isinstance(value, dict):
        pairs: Any = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
    else:
        yield path, value
        return
    for key, member in pairs:
        yield from _members(join(path, str(key)), member)


def buffers(root: Module) -> dict[str, Any]:
    """Path -> array of every buffer."""
    modules = root.named_modules()
    return {join(path, name): getattr(m, name) for path, m in modules for name in m.buffers}


def counters(root: Module) -> dict[str, Any]:
    """Path -> array of every counter."""
    modules = root.named_modules()
    return {join(path, name): getattr(m, name) for path, m in modules for name in m.counters}


def entries(root: Module) -> dict[str, Any]:
    """Path -> array of every parameter, then of every buffer: what is saved."""
    return {path: p.data for path, p in root.named_parameters()} | buffers(root)


def by_layer(root: Module) -> dict[str, Any]:
    """The result of `entries` in another order: each module's parameters, then its buffers."""
    found = entries(root)
    paths = [
        join(path, name)
        for path, module in root.named_modules()
        for name in (*owned(module, Tensor), *module.buffers)
    ]
    return {path: found[path] for path in paths if path in found}


def move(root: Module, device: str) -> None:
    """Move every parameter, buffer and counter to a device; see `Module.to`."""
    target = backends.get(device)

    def moved(array: Any) -> Any:
        source = backends.of(array)
        return array if source is target else target.asarray(source.to_numpy(array))

    for module in root.modules():
        module.device = target.name
        for tensor in owned(module, Tensor).values():
            if backends.of(tensor.data) is not target:
                tensor.data, tensor.grad = moved(tensor.data), None
        for name in (*module.buffers, *module.counters):
            if name in vars(module):  # it may not be created yet
                setattr(module, name, moved(getattr(module, name)))


def copy_out(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A copy, on the host, of arrays by name."""
    return {name: np.array(backends.of(a).to_numpy(a)) for name, a in arrays.items()}


def copy_in(arrays: Mapping[str, Any], given: Mapping[str, np.ndarray], what: str) -> None:
    """Copy the result of `copy_out` into the arrays; all of it or, on error, nothing.

    Args:
        arrays: name -> array to be written to.
        given: name -> array on the host.
        what: its name in the message: "the weights", "the optimizer's state".

    Raises:
        WeightsMismatchError: it lists what is missing, unexpected and of another shape.
    """
    expect(given, Mapping, f"what holds {what}", "give the dict that state_dict() returned")
    given = {n: a if hasattr(a, "shape") else np.asarray(a) for n, a in given.items()}
    _check_entries(arrays, given, what)
    for name, array in arrays.items():
        backend = backends.of(array)
        with backend.quiet_device():
            array[...] = backend.asarray(given[name], dtype=array.dtype)


def _check_entries(expected: Mapping[str, Any], given: Mapping[str, Any], what: str) -> None:
    """Check that two mappings of arrays have the same names and shapes."""
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    reshaped = [
        f"{name} is {tuple(given[name].shape)} instead of {tuple(array.shape)}"
        for name, array in expected.items()
        if name in given and tuple(given[name].shape) != tuple(array.shape)
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "wrong shape": reshaped}
    causes = [f"{kind}: {_listing(names)}" for kind, names in kinds.items() if names]
    if causes:
        raise WeightsMismatchError(
            f"{what} do not fit: {len(missing)} missing, {len(unexpected)} unexpected, "
            f"{len(reshaped)} of another shape",
            cause="; ".join(causes),
            fix="build the model that these were saved from, or load those of this model",
        )


def _listing(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
