"""The arrays of a tree of modules: listing them, moving them, checking what is loaded into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.errors import WeightsMismatchError

if TYPE_CHECKING:
    from gpucnn.nn.module import Module

_SHOWN = 8  # entries of each kind that an error lists before it says how many more there are


def join(path: str, name: str) -> str:
    """The path of `name` below `path`."""
    return f"{path}.{name}" if path else name


def entries(root: Module) -> dict[str, Any]:
    """Path -> array of every parameter, then of every buffer: what is saved."""
    found: dict[str, Any] = {path: p.data for path, p in root.named_parameters().items()}
    for path, module in root.modules().items():
        found |= {join(path, name): getattr(module, name) for name in module.buffers}
    return found


def move(root: Module, device: str) -> None:
    """Move every parameter, buffer and counter to a device; see `Module.to`."""
    target = backends.get(device)

    def moved(array: Any) -> Any:
        source = backends.of(array)
        return array if source is target else target.asarray(source.to_numpy(array))

    for module in root.modules().values():
        module.device = target.name
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and backends.of(value.data) is not target:
                value.data, value.grad = moved(value.data), None
            elif name in (*module.buffers, *module.counters):
                setattr(module, name, moved(value))


def check_entries(expected: Mapping[str, Any], given: Mapping[str, Any], what: str) -> None:
    """Check that two mappings of arrays have the same names and shapes.

    Args:
        expected: name -> array of the shape that is wanted.
        given: name -> array to be loaded.
        what: what is being loaded, for the message: "the weights", "the optimizer's state".

    Raises:
        WeightsMismatchError: it lists what is missing, unexpected and of another shape.
    """
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
