"""Building a tree of modules: naming them, and creating their parameters by one dry run."""

from __future__ import annotations

import inspect
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.errors import ShapeError, SignatureError, UsageError
from gpucnn.nn.overrides import local
from gpucnn.nn.room import check_result
from gpucnn.nn.state import join, move
from gpucnn.shapes import is_channels_last, layout_fix

if TYPE_CHECKING:
    from gpucnn.nn.module import Module, Shape


#: Held while modules are named and created: if two threads call a new model at the same time, one
#: builds it and the other waits.
_lock = threading.RLock()

#: Whether the thread that holds the lock is building a network.
_building = False

#: Inputs of the network being built that look like (H, W, C), unless the caller confirmed them.
_channels_last: tuple[Shape, ...] = ()


def build(
    root: Module, shapes: tuple[Shape, ...], seed: int, device: str, channels_first: bool
) -> None:
    """See `Module.build`."""
    global _building, _channels_last
    with _lock:
        shapes = shapes or root.built_for or root.declared_shapes()
        before = _building, _channels_last
        _building = True
        _channels_last = () if channels_first else tuple(filter(is_channels_last, shapes))
        try:
            _build(root, shapes, seed, device)
        finally:
            _building, _channels_last = before


def create_parts(module: Module, inputs: tuple[Tensor, ...]) -> None:
    """Prepare a module for its first call, with these inputs."""
    with _lock:
        if module.path is None and not _building:
            # It was put into a built network, which builds it at its place and with its seed.
            callers = local.calls[:-1]  # the last is the module itself
            owner = next((caller for caller in callers if module in caller.modules()), None)
            if owner is not None:
                owner.require_built()
        if module.path is None:
            if not all(x.ndim for x in inputs):
                raise UsageError(
                    f"a number is given to {module.display_name} by position",
                    cause="positions are for inputs, arrays (N, ...), for which it is built",
                    fix="give it by name, as in net(x, scale=2.0)",
                )
            module.build(*(x.shape[1:] for x in inputs), device=inputs[0].backend.name)
        if module.built_for is None:
            _check_layout(module, inputs[0].shape)
            module.create(*(x.shape for x in inputs))
            module.built_for = tuple(x.shape[1:] for x in inputs)


def _build(root: Module, shapes: tuple[Shape, ...], seed: int, device: str) -> None:
    modules = root.named_modules()
    if root.built_for is not None and shapes != root.built_for:
        raise ShapeError(
            f"{root.display_name} is built for inputs of {_listing(root.built_for)}, "
            f"not of {_listing(shapes)}",
            cause="its weights were created for those",
            fix=_layout_fix(shapes[0], root.built_for[0])
            or "make a new model and build it for the new shape",
        )
    if root.path is not None and all(module.path is not None for _, module in modules):
        return
    _require_inputs(root, shapes)
    target = backends.get(device)
    before = [(module, dict(vars(module))) for _, module in modules]
    try:
        above = root.path or ""  # not "" for a part of a larger network
        streams = {module.stream for _, module in modules} - {""}  # "": built alone
        for path, module in modules:
            at = join(above, path) if path else above
            if module.path is None:
                module.stream = at
                while module.stream in streams:  # another module was built at this path before
                    module.stream += "'"
                streams.add(module.stream)
            module.path, module.seed = at, seed
        move(root, target.name)
        dry_run(root, shapes)
        for _, module in modules:
            if module.awaits_input:
                raise UsageError(
                    f"{module.display_name} has no parameters yet",
                    cause="forward did not call it, so its input is unknown",
                    fix="call it in forward, also in evaluation mode, or remove it",
                )
        for path, parameter in root.named_parameters():
            parameter.name = join(above, path)
    except BaseException:  # a failed build leaves the tree as it was
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)
        raise


def _require_inputs(root: Module, shapes: tuple[Shape, ...]) -> None:
    """`SignatureError` unless `forward` takes as many inputs as there are shapes."""
    signature = inspect.signature(root.forward)
    try:
        signature.bind(*shapes)
    except TypeError as error:
        count = f"{len(shapes)} input{'s' * (len(shapes) != 1)}"
        raise SignatureError(
            f"{root.display_name} is to be built for {count}",
            cause=f"it has forward({', '.join(signature.parameters)}): {error}",
            fix="give build the shape of each input, as in build((28,), (10,)), or call the model "
            "on all of them",
        ) from error


def dry_run(root: Module, shapes: tuple[Shape, ...]) -> Any:
    """Call a module on one sample of zeros, in evaluation mode and outside the graph.

    The result tells shapes: kernels are launched only for a forward pass of the user's, which may
    depend on numbers.
    """
    ours = not any(map(has_own_forward, root.modules().values()))
    without_kernels = backends.get(root.device).shapes_only() if ours else nullcontext()
    with root.evaluating(), no_grad(), without_kernels:
        return root(*sample(root, shapes))


def sample(root: Module, shapes: tuple[Shape, ...]) -> list[Tensor]:
    """One sample of zeros, on the device of a module, for inputs of these shapes."""
    target = backends.get(root.device)
    for shape in shapes:
        check_result(shape)
    return [Tensor(target.asarray(np.zeros((1, *shape), np.float32))) for shape in shapes]


def has_own_forward(module: Module) -> bool:
    """Whether its `forward` is not of this library, as in a subclass that overrides it."""
    return type(module).forward.__module__.partition(".")[0] != "gpucnn"


def add_layout(error: ShapeError, root: Module, inputs: tuple[Tensor, ...]) -> None:
    """Add a fix to an error of a built network if the input only has its axes in another order."""
    if root.path == "" and root.built_for and inputs:
        error.fix = _layout_fix(inputs[0].shape[1:], root.built_for[0]) or error.fix


def _layout_fix(given: Shape, wanted: Shape) -> str | None:
    fix = layout_fix(given, wanted)
    return f"give {fix}, which is (N, {', '.join(map(str, wanted))})" if fix else None


def _check_layout(module: Module, x_shape: Shape) -> None:
    """`ShapeError` if the first input contradicts the declared `input_shape`.

    Also if a layer of images gets it without a change and it looks like (N, H, W, C).
    """
    shape, declared = x_shape[1:], module.input_shape
    if declared is not None and shape != declared:
        fix = _layout_fix(shape, declared)
        if is_channels_last(declared):
            fix = f"write input_shape={(declared[2], *declared[:2])}: layers take (N, C, H, W)"
        raise ShapeError(
            f"the input is {x_shape}, input_shape says {declared}",
            fix=fix or f"give input_shape={shape}, or leave it out",
        )
    if not module.takes_images:
        return
    if shape in _channels_last:
        H, W, C = shape
        raise ShapeError(
            f"the input {shape} looks like (H, W, C)",
            cause=f"layers take (N, C, H, W), which makes it {H} channels of {W}x{C} pixels",
            fix=f"give x.transpose(0, 3, 1, 2), and {(C, H, W)} where the shape is written; if it "
            f"is meant so, call build({shape}, channels_first=True) first",
        )
    if len(x_shape) == 3:
        raise ShapeError(
            f"the input is {x_shape}",
            cause="it must be (N, C, H, W)",
            fix="give gray images (N, H, W) as x[:, None], which is (N, 1, H, W)",
        )


def _listing(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(str(shape) for shape in shapes)
