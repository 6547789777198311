"""Reverse-mode automatic differentiation, define-by-run.

Running a computation on Tensors records it: each result remembers the `Function` that made it, and
each Function its inputs. `Tensor.backward` walks that graph from the result to the leaves and
applies the chain rule at each Function (Rumelhart, Hinton and Williams 1986; Baydin et al. 2018).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ContextDecorator
from typing import Any

from gpucnn import backend as backends
from gpucnn.array_methods import ArrayMethods
from gpucnn.backend import Backend
from gpucnn.backend.base import Array
from gpucnn.errors import DtypeError, GraphError, ShapeError
from gpucnn.spelling import Spellings, explained

_BACKWARD = Spellings(
    renamed={"gradient": ("grad",)},
    instead={"retain_graph": "a backward frees the graph: run the forward computation again"},
)
_local = threading.local()


def is_grad_enabled() -> bool:
    """Whether computations are being recorded in this thread."""
    return getattr(_local, "enabled", True)


class no_grad(ContextDecorator):
    """Inside, nothing is recorded: results have requires_grad=False. Also a decorator."""

    def __enter__(self) -> None:
        # A stack, as one instance used as a decorator may be entered again before it is left.
        stack = _local.__dict__.setdefault("stack", [])
        stack.append(is_grad_enabled())
        _local.enabled = False

    def __exit__(self, *_: object) -> None:
        _local.enabled = _local.stack.pop()


class Tensor(ArrayMethods):
    """An array that knows how it was computed. Its operators and methods are in `ArrayMethods`.

    Args:
        array: a NumPy or CuPy array; a number or a list becomes a float32 NumPy array.
        requires_grad: whether `backward` is to fill `.grad`.
        name: shown in pictures of the graph.

    Attributes:
        data: the array.
        grad: the gradient of the last `backward` calls, an array of the shape of data, or None.
        creator: the Function that made it, or None for a leaf.
    """

    def __init__(self, array: Any, requires_grad: bool = False, name: str | None = None) -> None:
        if isinstance(array, Tensor):
            array = array.data
        if not hasattr(array, "dtype"):
            array = as_array(backends.get("cpu"), array, "float32")
        if requires_grad and array.dtype.kind != "f":
            raise GraphError(
                f"an array of {array.dtype} cannot require a gradient",
                cause="gradients exist for floating-point numbers only",
                fix="convert with .astype(numpy.float32)",
            )
        self.data: Array = array
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self.name = name
        self.creator: Function | None = None

    def detach(self) -> Tensor:
        """The same array, cut off from the graph."""
        return Tensor(self.data, name=self.name)

    def zero_grad(self) -> None:
        """Forgets the gradient."""
        self.grad = None

    # ---- backward --------------------------------------------------------------------------

    @explained(_BACKWARD)
    def backward(self, grad: Array | None = None) -> None:
        """Adds the gradient of this tensor to the `.grad` of every leaf that requires it.

        Args:
            grad: the gradient of the loss by this tensor, of its shape and dtype; 1 for a scalar.

        Raises:
            GraphError: nothing was recorded, the graph was used before, or `grad` is missing.
        """
        if not self.requires_grad:
            raise GraphError(
                "backward of a tensor that requires no gradient",
                cause="it was computed under no_grad, or from tensors with requires_grad=False",
                fix="create the parameters with Tensor(array, requires_grad=True)",
            )
        if grad is None:
            if self.size != 1:
                raise GraphError(
                    f"backward of a tensor of shape {self.shape} without a gradient",
                    cause="only a scalar has a gradient of 1 by itself",
                    fix="reduce it with .sum() or .mean(), or pass grad=",
                )
            with self.backend.computing():
                grad = self.backend.xp.ones_like(self.data)
        else:
            _check_gradient("backward", grad, self.data)
        with self.backend.computing():
            self._accumulate(grad)

    def _accumulate(self, grad: Array) -> None:
        # Two leaves may be handed one array, or a view of it: each `.grad` gets its own.
        handed_out = {id(grad)}
        # Gradients of the tensors that are waiting for their Function's turn, by identity.
        waiting: dict[int, Array] = {id(self): grad}
        for tensor in _from_result_to_leaves(self):
            grad = waiting.pop(id(tensor))
            if tensor.creator is None:
                if id(grad) in handed_out or grad.base is not None:
                    grad = grad.copy()
                handed_out.add(id(grad))
                tensor.grad = grad if tensor.grad is None else tensor.grad + grad
                continue
            for source, source_grad in tensor.creator.input_gradients(grad):
                before = waiting.get(id(source))
                # a + b makes a new array: an incoming gradient may be shared, so never add to it.
                waiting[id(source)] = source_grad if before is None else before + source_grad


Operand = Tensor | Array | float


class Function:
    """One differentiable operation, one instance a call.

    A subclass has `forward`, from arrays to an array, and below it `backward`, from the gradient of
    the output to the gradients of the inputs: an array, or a tuple with None for an input that
    needs none. Options go to the constructor; a call is `Function(options)(tensor, ...)`.

    Attributes:
        backend: of the input arrays, set before `forward`; `xp` is its array module.
        inputs: the input Tensors.
        needs_input_grad: for each input, whether its gradient is wanted: skip the work if not.
        saved: the arrays kept by `save` in forward; dropped after backward.
    """

    backend: Backend
    xp: Any
    inputs: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    saved: tuple[Any, ...] = ()

    # Any number of arrays: each Function names its own.
    def forward(self, *arrays: Any, **_: Any) -> Array:
        raise NotImplementedError

    def backward(self, grad: Array) -> Any:
        raise NotImplementedError

    def save(self, *arrays: Array | None) -> None:
        """Keeps arrays for `backward`, where they are `self.saved`."""
        self.saved = arrays

    @property
    def label(self) -> str:
        """The name shown to users."""
        return type(self).__name__

    def __call__(self, *inputs: Operand) -> Tensor:
        arrays = [_array_of(value) for value in inputs]
        backend = self.backend = backends.of(*arrays)
        self.xp = backend.xp
        tensors: Any = inputs
        if not all([isinstance(value, Tensor) for value in inputs]):
            dtype = next(array.dtype for array in arrays if array is not None)
            tensors = tuple(self._as_tensor(value, dtype) for value in inputs)
            arrays = [tensor.data for tensor in tensors]
        needed = is_grad_enabled() and any([tensor.requires_grad for tensor in tensors])
        self.needs_input_grad = tuple([needed and tensor.requires_grad for tensor in tensors])
        with backend.computing():
            result = Tensor(self.forward(*arrays))
        if needed:
            self.inputs = tensors
            result.requires_grad = True
            result.creator = self
        return result

    def _as_tensor(self, value: Any, dtype: Any) -> Tensor:
        if isinstance(value, Tensor):
            return value
        if not hasattr(value, "dtype"):
            # A number takes the dtype of the arrays it meets, or of its kind beside integers.
            if isinstance(value, (int, float)):
                dtype = self.xp.result_type(dtype, value)
            value = as_array(self.backend, value, dtype)
        return Tensor(value)

    def input_gradients(self, grad: Array) -> Iterator[tuple[Tensor, Array]]:
        """Each input that needs it with its gradient; frees what `forward` saved."""
        if not self.inputs:
            raise GraphError(
                f"backward through {self.label} a second time",
                cause="the arrays that its gradient needs were freed by the first backward",
                fix="run the forward computation again before the next backward",
            )
        with self.backend.computing():
            gradients = self.backward(grad)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        inputs, self.inputs, self.saved = self.inputs, (), ()
        for tensor, needed, gradient in zip(inputs, self.needs_input_grad, gradients, strict=True):
            if needed:
                _check_gradient(self.label, gradient, tensor.data)
                yield tensor, gradient


def _check_gradient(where: str, grad: Array, array: Array) -> None:
    """The gradient by an array must have its shape and dtype."""
    if not hasattr(grad, "dtype") or grad.dtype != array.dtype:
        raise DtypeError(
            f"{where}: a gradient of type {getattr(grad, 'dtype', type(grad).__name__)}",
            cause=f"the array that it is the gradient by is of type {array.dtype}",
            fix="give an array of the same type",
        )
    if grad.shape != array.shape:
        raise ShapeError(
            f"{where}: a gradient of shape {grad.shape}",
            cause=f"the array that it is the gradient by has shape {array.shape}",
            fix=f"give a gradient of shape {array.shape}",
        )


def as_array(backend: Backend, values: Any, dtype: Any) -> Array:
    """A number or a (nested) list of numbers as an array."""
    try:
        if values is None:  # of which NumPy would make a NaN
            raise TypeError("it is None")
        return backend.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        raise DtypeError(
            f"a {type(values).__name__} cannot be made a Tensor",
            cause=str(error),
            fix="give an array, a number or a list of numbers",
        ) from error


def _array_of(value: Any) -> Array | None:
    if isinstance(value, Tensor):
        return value.data
    return value if hasattr(value, "dtype") else None


def _from_result_to_leaves(result: Tensor) -> list[Tensor]:
    """The recorded tensors behind `result`, each before all that it was computed from.

    A depth-first post-order with a stack of our own: a graph may be deeper than Python recurses.
    """
    order: list[Tensor] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(result, False)]
    while stack:
        tensor, done = stack.pop()
        if done:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            if tensor.creator is not None:
                inputs = zip(tensor.creator.inputs, tensor.creator.needs_input_grad, strict=False)
                stack.extend((source, False) for source, needed in inputs if needed)
    return order[::-1]


def to_dot(result: Tensor) -> str:
    """The graph behind a tensor in Graphviz's DOT language: boxes are tensors, ovals Functions.

    Call it before `backward`, which frees the graph.
    """
    lines = ["digraph {", "  rankdir=BT;"]
    names: dict[int, str] = {}
    for tensor in reversed(_from_result_to_leaves(result)):
        node = names[id(tensor)] = f"t{len(names)}"
        text = f"{tensor.name or 'tensor'}\\n{tuple(tensor.shape)}"
        lines.append(f'  {node} [shape=box, label="{text}"];')
        if tensor.creator is not None:
            lines.append(f'  f{node} [label="{tensor.creator.label}"];')
            lines.append(f"  f{node} -> {node};")
            for source in tensor.creator.inputs:
                if id(source) not in names:  # a constant: no gradient flows to it
                    names[id(source)] = f"t{len(names)}"
                    shape = tuple(source.shape)
                    lines.append(
                        f'  {names[id(source)]} [shape=box, style=dashed, label="{shape}"];'
                    )
                lines.append(f"  {names[id(source)]} -> f{node};")
    return "\n".join([*lines, "}"])
