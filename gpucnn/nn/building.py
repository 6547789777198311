"""Building a tree of modules: naming them, and creating their parameters by one dry run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.errors import ShapeError, UsageError
from gpucnn.nn.state import move

if TYPE_CHECKING:
    from gpucnn.nn.module import Module, Shape


#: Held while modules are named and created: of two threads that call a new model at the same time,
#: one builds it and the other waits.
_lock = threading.RLock()


def build(root: Module, shapes: tuple[Shape, ...], seed: int, device: str) -> None:
    """See `Module.build`."""
    with _lock:
        _build(root, shapes, seed, device)


def create_parts(module: Module, inputs: tuple[Tensor, ...]) -> None:
    """Prepare a module for its first call, which gives it these inputs."""
    with _lock:
        if module.path is None:
            module.build(*(x.shape[1:] for x in inputs), device=inputs[0].backend.name)
        if module.built_for is None:
            check_declared(module, inputs[0].shape)
            module.create(*(x.shape for x in inputs))
            module.built_for = tuple(x.shape[1:] for x in inputs)


def _build(root: Module, shapes: tuple[Shape, ...], seed: int, device: str) -> None:
    shapes = shapes or root.built_for or root.declared_shapes()
    modules = root.modules()
    if root.built_for is not None and shapes != root.built_for:
        raise ShapeError(
            f"{root.label} is built for inputs of {_listing(root.built_for)}, "
            f"not of {_listing(shapes)}",
            cause="its weights were created for those",
            fix="make a new model and build it for the new shape",
        )
    if root.path is not None and all(module.path is not None for module in modules.values()):
        return
    target = backends.get(device)
    before = [(module, dict(vars(module))) for module in modules.values()]
    try:
        for path, module in modules.items():
            module.path, module.seed = path, seed
        move(root, target.name)
        dry_run(root, shapes)
        for module in modules.values():
            _check_created(module)
        for path, parameter in root.named_parameters().items():
            parameter.name = path
    except BaseException:  # a failed build leaves the tree as it was
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)
        raise


def dry_run(root: Module, shapes: tuple[Shape, ...]) -> None:
    """Call a module on one sample of zeros, in evaluation mode and outside the graph."""
    target = backends.get(root.device)
    zeros = [target.asarray(np.zeros((1, *shape), np.float32)) for shape in shapes]
    with root.evaluating(), no_grad():
        root(*(Tensor(array) for array in zeros))


def check_declared(module: Module, x_shape: Shape) -> None:
    """`ShapeError` if the first input contradicts the `input_shape` that the user gave."""
    if module.input_shape is not None and x_shape[1:] != module.input_shape:
        raise ShapeError(
            f"the input is {x_shape}, input_shape says {module.input_shape}",
            fix=f"give input_shape={x_shape[1:]}, or leave it out",
        )


def _check_created(module: Module) -> None:
    if module.awaits_input:
        raise UsageError(
            f"{module.label} has no parameters yet",
            cause="forward did not call it, so its input is unknown",
            fix="call it in forward, also in evaluation mode, or remove it",
        )


def _listing(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(str(shape) for shape in shapes)
