"""Reverse-mode automatic differentiation, define-by-run.

Running a computation on Tensors records it: each result remembers the `Function` that made it, and
each Function its inputs. `Tensor.backward` walks that graph from the result to the leaves and
applies the chain rule at each Function (Rumelhart, Hinton and Williams 1986; Baydin et al. 2018).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gpucnn import backend as backends
from gpucnn import recording
from gpucnn.array_methods import ArrayMethods
from gpucnn.backend import Backend
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError, GpucnnError, GraphError, ShapeError
from gpucnn.interchange import native
from gpucnn.operands import as_array, as_floats, check_gradient, constant, is_array, unscalar
from gpucnn.printing import Printable
from gpucnn.recording import is_grad_enabled as is_grad_enabled
from gpucnn.recording import no_grad as no_grad
from gpucnn.spelling import Spellings, explain_names, explained

if TYPE_CHECKING:
    from gpucnn.graph import Graph

_BACKWARD = Spellings(
    renamed={"gradient": ("grad",)},
    instead={"retain_graph": "a backward frees the graph: run the forward computation again"},
)


class Tensor(ArrayMethods):
    """An array with the record of its computation. Its methods are in `ArrayMethods`.

    Args:
        array: a NumPy or CuPy array, or one that `gpucnn.interchange` takes; a number or a list
            becomes a float32 NumPy array.
        requires_grad: whether `backward` computes `.grad`.
        name: its name in messages and in pictures of the graph.

    Attributes:
        data: the array.
        grad: the sum of the gradients of `backward` calls, an array of the shape of data, or None.
            Only leaves get one, as in PyTorch; a tensor that was computed gets one if
            `retain_grad` was called before.
        creator: the Function that made it, or None for a leaf.
        retains_grad: whether `backward` keeps the gradient although it is no leaf.
        changed_at: the value of `recording.changes` after its last change in place, or 0.
    """

    changed_at: int = 0
    retains_grad: bool = False

    def __init__(self, array: Any, requires_grad: bool = False, name: str | None = None) -> None:
        if type(array) is not np.ndarray:
            array = _array_from(array)
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
        return recording.unrecorded(Tensor(self.data, name=self.name), self)

    @property
    def is_parameter(self) -> bool:
        """Whether it is a leaf that requires a gradient; training changes such in place."""
        return self.requires_grad and self.creator is None

    def zero_grad(self) -> None:
        """Forgets the gradient."""
        self.grad = None

    def retain_grad(self) -> None:
        """Lets `backward` keep the gradient of this tensor in `.grad`; a leaf has it anyway.

        Without it `.grad` of a tensor that was computed stays None: its gradient is freed during
        `backward`, as soon as those of its inputs are known.

        Raises:
            GraphError: it requires no gradient, so `backward` computes none.
        """
        self._check_recorded("retain_grad")
        self.retains_grad = self.creator is not None

    def graph(self) -> Graph:
        """The computation behind this tensor as a picture; see `gpucnn.graph.Graph`.

        Call it before `backward`, which frees the record. It calls `retain_grad` on each tensor of
        the graph, so the picture shows all gradients once `backward` was called.

        Raises:
            GraphError: nothing was recorded, or the record was freed by a `backward`.
        """
        self._check_recorded("graph")
        return importlib.import_module("gpucnn.graph").of_tensor(self)

    def _check_recorded(self, method: str) -> None:
        if not self.requires_grad:
            raise GraphError(
                f"{method} of a tensor that requires no gradient",
                cause="it was computed under no_grad, or from tensors with requires_grad=False",
                fix="create the parameters with Tensor(array, requires_grad=True)",
            )

    # ---- backward --------------------------------------------------------------------------

    @explained(_BACKWARD)
    def backward(self, grad: Array | Tensor | None = None) -> None:
        """Adds the gradient of this tensor to the `.grad` of every leaf that requires it.

        Tensors on which `retain_grad` was called get theirs, too.

        Args:
            grad: the gradient of the loss by this tensor, of its shape and dtype, an array or a
                Tensor; 1 for a scalar.

        Raises:
            GraphError: nothing was recorded, the graph was used before, or `grad` is missing.
        """
        self._check_recorded("backward")
        if grad is None:
            if self.size != 1:
                raise GraphError(
                    f"backward of a tensor of shape {self.shape} without a gradient",
                    cause="only a scalar has a gradient of 1 by itself",
                    fix="reduce it with .sum() or .mean(), or pass grad=",
                )
            with self.backend.quiet_device():
                grad = self.backend.xp.ones_like(self.data)
        else:
            grad = grad.data if isinstance(grad, Tensor) else grad
            check_gradient("backward", grad, self.data)
        with self.backend.quiet_device():
            self._accumulate(grad)

    def _accumulate(self, grad: Array) -> None:
        # Two tensors may get the same array, or a view of it: each `.grad` must be its own.
        given = {id(grad)}
        # Gradients by the identity of the tensor, for tensors that the loop has not reached.
        waiting: dict[int, Array] = {id(self): grad}
        for tensor in _from_result_to_leaves(self):
            grad = waiting.pop(id(tensor))
            if tensor.creator is None or tensor.retains_grad:
                own = grad.copy() if id(grad) in given or grad.base is not None else grad
                given.add(id(own))
                tensor.grad = unscalar(own if tensor.grad is None else tensor.grad + own)
            if tensor.creator is None:
                continue
            for source, source_grad in tensor.creator.input_gradients(grad):
                before = waiting.get(id(source))
                # a + b makes a new array: never add to an incoming gradient, which may be shared.
                waiting[id(source)] = source_grad if before is None else before + source_grad


Operand = Tensor | Array | float


class Function(Printable):
    """One differentiable operation, one instance a call.

    A subclass defines `forward`, from arrays to an array, and below it `backward`, from the
    gradient of the output to the gradients of the inputs: an array, or a tuple with None for an
    input that needs none. The constructor takes options: `Function(options)(tensor, ...)`.

    Attributes:
        backend: of the input arrays, set before `forward`; `xp` is its array module.
        inputs: the input Tensors.
        needs_input_grad: for each input, whether its gradient is needed; else skip the work.
        saved: the arrays kept by `save` in forward; dropped after backward. Save an input only if
            a needed gradient uses it: until then it must not be changed in place.
        called_at: the value of `recording.changes` when it was called.
        of_reals: whether forward gets integers and bools as floats; see `operands.as_floats`.
    """

    backend: Backend
    xp: Any
    inputs: tuple[Tensor, ...]
    called_at: int
    needs_input_grad: tuple[bool, ...]
    saved: tuple[Any, ...] = ()
    of_reals: bool = False

    def forward(self, *arrays: Any, **_: Any) -> Array:
        raise NotImplementedError

    def backward(self, grad: Array) -> Any:
        raise NotImplementedError

    def save(self, *arrays: Array | None) -> None:
        """Keeps arrays as `self.saved` for `backward`."""
        self.saved = arrays

    @property
    def label(self) -> str:
        """The name shown to users."""
        return type(self).__name__

    def _argument(self, name: str) -> Any:
        return {**vars(self).get("options", {}), **vars(self)}[name]

    def __call__(self, *inputs: Operand) -> Tensor:
        tensors = as_tensors(inputs)
        arrays = [tensor.data for tensor in tensors]
        backend = self.backend = backends.of(*arrays)
        self.xp = backend.xp
        needed = is_grad_enabled() and any([tensor.requires_grad for tensor in tensors])
        self.needs_input_grad = tuple([needed and tensor.requires_grad for tensor in tensors])
        with backend.quiet_device():
            if self.of_reals:
                arrays = as_floats(arrays)
            try:
                result = Tensor(self.forward(*arrays))
            except (TypeError, ValueError, IndexError, OverflowError) as error:
                self._explain(error, arrays)
        if needed:
            self.inputs = tensors
            self.called_at = recording.changes
            result.requires_grad = True
            result.creator = self
        else:
            recording.unrecorded(result, *tensors)
        return result

    def _explain(self, error: Exception, arrays: Sequence[Array]) -> NoReturn:
        """Raise a NumPy error as one of ours, if this is a Function of the library."""
        if isinstance(error, GpucnnError) or not type(self).__module__.startswith("gpucnn."):
            raise error
        shapes = isinstance(error, (ValueError, IndexError))
        if all(array.dtype == bool for array in arrays) and not shapes:
            raise DtypeError(
                f"{self.label} of a Tensor of bools",
                cause="they are no numbers",
                fix="make them numbers, as in (x > 0) * 1; for the opposite write mask == False",
            ) from error
        given = " and ".join(str(array.shape if shapes else array.dtype) for array in arrays)
        raise (ShapeError if shapes else DtypeError)(
            f"{self.label} of {given}",
            cause=str(error),
            fix="give shapes and options that fit together"
            if shapes
            else "convert the arrays, as with .astype(numpy.float32)",
        ) from error

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise GraphError(
            "a tensor with a record of how it was computed cannot be copied deeply or pickled",
            cause=f"the record of its {self.label} belongs to this graph",
            fix="take the values: Tensor(x.numpy()), or compute it inside no_grad()",
        )

    def input_gradients(self, grad: Array) -> Iterator[tuple[Tensor, Array]]:
        """Each input that needs it with its gradient; frees what `forward` saved."""
        if not self.inputs:
            raise GraphError(
                f"backward through {self.label} a second time",
                cause="the arrays that its gradient needs were freed by the first backward",
                fix="run the forward computation again before the next backward",
            )
        if self.called_at != recording.changes:
            self._check_saved()
        with self.backend.quiet_device():
            gradients = self.backward(grad)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        inputs, self.inputs, self.saved = self.inputs, (), ()
        for tensor, needed, gradient in zip(inputs, self.needs_input_grad, gradients, strict=True):
            if needed:
                check_gradient(self.label, gradient, tensor.data)
                yield tensor, gradient

    def _check_saved(self) -> None:
        """`GraphError` if an array that `forward` saved was changed in place since then."""
        saved = [array for array in self.saved if self.backend.owns(array)]
        sources = list(self.inputs)
        while sources:
            tensor = sources.pop()
            if not any([self.xp.may_share_memory(tensor.data, array) for array in saved]):
                continue
            if tensor.changed_at > self.called_at:
                raise GraphError(
                    f"backward through {self.label} after a change of "
                    f"{tensor.name or 'a tensor'} in place",
                    cause="the gradient needs the values from before the change",
                    fix="call backward before optimizer.step() and changes such as w -= 1, or run "
                    "the forward computation again",
                )
            if tensor.creator is not None:  # it may be a view of an input
                sources += tensor.creator.inputs


def as_tensors(values: Sequence[Operand]) -> tuple[Tensor, ...]:
    """Operands as Tensors; numbers and lists get their dtype from the arrays, by `constant`."""
    if all([isinstance(value, Tensor) for value in values]):
        return tuple(values)  # type: ignore[arg-type]
    values = [native(value) for value in values]
    arrays = [_array_of(value) for value in values]
    known = [array for array in arrays if array is not None]
    if not known:
        return tuple(map(Tensor, values))
    backend, dtype = backends.of(*known), known[0].dtype
    return tuple(
        value
        if isinstance(value, Tensor)
        else Tensor(constant(backend, value, dtype) if array is None else array)
        for value, array in zip(values, arrays, strict=True)
    )


def _array_of(value: Any) -> Array | None:
    if isinstance(value, Tensor):
        return value.data
    return value if is_array(value) else None


def _array_from(value: Any) -> Array:
    """The array for a Tensor from a value that is no NumPy array."""
    if isinstance(value, Tensor):
        return value.data
    value = native(value)
    if not hasattr(value, "dtype"):
        return as_array(value).astype(np.float32)
    if backends.device_of(value) is None:
        backends.of(value)  # raises
    return unscalar(value)


def _from_result_to_leaves(result: Tensor) -> list[Tensor]:
    """The recorded tensors behind `result`, each before those that it was computed from.

    A depth-first post-order with an explicit stack: a graph may be too deep for recursion.
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


explain_names(__name__, {"to_dot": "write result.graph().to_dot(), before backward"})
