"""Module: a part of a network, which owns parameters and other modules.

To write a layer, give `forward`; if it has parameters, also give `create`, which is called once,
when the shape of the first input is known:

    class Scale(Module):
        def create(self, x_shape: Shape) -> None:
            self.gain = self.new_parameter("gain", (x_shape[1],), "ones")

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gain

Parameters and modules are found if they are attributes, or in attributes that are lists, tuples and
dicts, nested to any depth; not in sets or other objects. Their order is that in which the
attributes were first set. A module's place in the tree is its path ("block.body.conv1",
"blocks.0"); a parameter's path is that of its module and its own name ("block.body.conv1.weight").
Buffers and counters are arrays that are attributes themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.errors import ShapeError, UsageError, expect
from gpucnn.graph import Graph
from gpucnn.nn import arguments, initializers
from gpucnn.nn.building import add_layout, build, create_parts
from gpucnn.nn.drawing import of_module
from gpucnn.nn.foreign import ATTRIBUTES, LAYERS, LOADING
from gpucnn.nn.named import Members, Named
from gpucnn.nn.overrides import Overridable, local
from gpucnn.nn.parameter import Parameter
from gpucnn.nn.room import take_room
from gpucnn.nn.state import by_layer, copy_in, copy_out, counters, entries, join, move, owned
from gpucnn.nn.summary import SummaryRow, rows, table
from gpucnn.nn.torch_state import LoadsTorchState
from gpucnn.nn.tree import PrintedAsTree
from gpucnn.spelling import explain_attribute, explained

Shape = tuple[int, ...]


class Module(Overridable, PrintedAsTree, LoadsTorchState):
    """A part of a network. See the head of this file for how to write one.

    Args:
        name: its name in a `Sequential`; by default its kind and number, as in "conv2".
        input_shape: shape of one input without the batch axis; by default it is inferred.

    Attributes:
        path: its place in the tree that was built; "" at the root, None before `build`.
        stream: the name of the random streams of its initial weights: the path at which it was
            built, with a mark if another module of the tree was built at that path before.
        built_for: the shapes of its first inputs without the batch axis.
        training: whether dropout drops and batch norm takes the statistics of the batch; set by
            `evaluating` and `training_mode` inside of them, else by `train`.
        frozen: whether `freeze` holds its parameters, and batch norm's running statistics.
        takes_images: whether its input must be (N, C, H, W).
        is_view: whether its output is a view of its input.
        buffers: names of its arrays that are saved but not trained (running statistics); change
            them in place.
        counters: names of its arrays that are neither (steps): not in `state_dict`, but in the
            checkpoints of a training.
    """

    # Defaults of the class: a subclass need not call __init__.
    name: str | None = None
    input_shape: Shape | None = None
    path: str | None = None
    stream: str = ""
    frozen: bool = False
    seed: int = 0
    device: str = "cpu"
    takes_images: bool = False
    is_view: bool = False
    buffers: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    built_for: tuple[Shape, ...] | None = None

    def __init__(self, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        self.name = arguments.layer_name(name)
        self.input_shape = None if input_shape is None else arguments.input_shape(input_shape)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A layer outside of the library keeps Python's error for a call that does not match.
        if cls.__module__.partition(".")[0] == "gpucnn" and "__init__" in vars(cls):
            cls.__init__ = explained(LAYERS)(cls.__init__)  # type: ignore[method-assign]

    if not TYPE_CHECKING:  # type checkers would then accept every name

        def __getattr__(self, name: str) -> Any:
            return explain_attribute(self, name, ATTRIBUTES)

    @property
    def kind(self) -> str:
        """The name of modules of this type in a `Sequential`, which adds a number."""
        return type(self).__name__.lower()

    # Methods that a layer defines.

    def create(self, *x_shapes: Any, **_: Any) -> None:
        """Create the parameters, given the shapes of the first inputs (batch axis included)."""

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """The output for these inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def flops(self, x_shape: Shape, y_shape: Shape) -> int:
        """Floating-point operations of its matrix products, for `summary`: a multiply-add is 2."""
        return 0

    def not_kept(self) -> list[Module]:
        """The layers in it whose output is no array of its own, because they are folded."""
        return []

    def new_parameter(
        self, name: str, shape: Shape, initializer: Any, fan_in: int = 1, fan_out: int = 1
    ) -> Parameter:
        """A float32 parameter with numbers of its own random stream, "init/<stream>.<name>".

        Args:
            initializer: a name or object of `gpucnn.nn.initializers`.
            fan_in, fan_out: inputs of one output and outputs of one input, for Glorot and He.
        """
        take_room(shape)
        stream = f"init/{join(self.stream, name)}"
        values = initializers.get(initializer)(shape, fan_in, fan_out, self.seed, stream)
        return Parameter(backends.get(self.device).asarray(values), requires_grad=not self.frozen)

    # Building and calling.

    def build(
        self,
        *input_shapes: Shape,
        seed: int = 0,
        device: str = "cpu",
        channels_first: bool = False,
    ) -> Self:
        """Name every module of the tree and create its parameters, by running one zero sample.

        Args:
            input_shapes: for each input of `forward` its shape without the batch axis, as in
                (1, 28, 28); may be left out where the first layer was given `input_shape`.
            seed: of the initial weights and of dropout.
            device: where the parameters are created.
            channels_first: the shapes are (C, H, W) even where they look like (H, W, C), as
                (28, 28, 1) does; without it a layer of images refuses such an input.

        A second call with the same shapes changes nothing, not even the seed or the device; it only
        builds modules that were put in since then.

        Raises:
            ShapeError: layers do not fit together, it is built for other shapes, or an input looks
                like (H, W, C).
            UsageError: the input shape is not known, or `forward` does not call one of the layers.
            SignatureError: `forward` takes another number of inputs.
        """
        build(self, arguments.input_shapes(input_shapes), seed, device, channels_first)
        return self

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """`forward`; creates parameters first if needed, and names the layer in a `ShapeError`."""
        tensors = tuple([x if isinstance(x, Tensor) else _tensor(x) for x in inputs])
        calls = local.calls
        calls.append(self)
        try:
            if self.built_for is None:
                create_parts(self, tensors)
            output = self.forward(*tensors, **options)
        except ShapeError as error:
            named = error.at(self.display_name)
            add_layout(named, self, tensors)
            raise named.with_traceback(error.__traceback__) from None
        finally:
            calls.pop()
        if output is None:
            raise UsageError(
                f"forward of {self.display_name} returned nothing",
                cause="forward returns the output, that of a network a Tensor (N, K)",
                fix="let forward end with return, as in `return self.head(x)`",
            )
        if local.observers and self.observer is not None:
            self.observer(self, tensors, output)
        return output

    # The tree.

    def named_children(self) -> Named[Module]:
        """Name -> module it owns; see the head of this file for which are found.

        Raises:
            UsageError: two of them have one name.
        """
        return Named(owned(self, Module))

    def children(self) -> Members[Module]:
        """`named_children`, over which a loop gets the modules: `for layer in net.children()`."""
        return Members(self.named_children())

    def named_modules(self) -> Named[Module]:
        """Path from here -> module, itself first; a module that is used twice is listed once.

        A loop gets pairs: `for path, module in net.named_modules()`.
        """
        found: Named[Module] = Named()
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [("", self)]
        while stack:
            path, module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                found[path] = module
                children = module.named_children()
                stack += [(join(path, name), child) for name, child in children][::-1]
        return found

    def modules(self) -> Members[Module]:
        """`named_modules`, over which a loop gets the modules: `for module in net.modules()`."""
        return Members(self.named_modules())

    def named_parameters(self) -> Named[Parameter]:
        """Path from here -> parameter, in order; one that is used twice is listed once.

        A loop gets pairs: `for path, parameter in net.named_parameters()`.

        Raises:
            UsageError: the module is not built, so there are none yet; or a module was put in since
                then that `forward` does not call.
        """
        self.require_built()
        found: Named[Parameter] = Named()
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, parameter in owned(module, Parameter).items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    found[join(path, name)] = parameter
        return found

    def parameters(self) -> list[Parameter]:
        """The values of `named_parameters`."""
        return list(self.named_parameters().values())

    @property
    def num_parameters(self) -> int:
        """The number of elements of all parameters, frozen ones included."""
        return sum(math.prod(p.shape) for p in self.parameters())

    # Operations on the whole tree.

    def freeze(self, frozen: bool = True) -> Self:
        """Leave the parameters as they are while training: `requires_grad = not frozen`.

        Batch norm then uses its running statistics and does not change them, as in Keras. Dropout,
        which has no parameters, still drops. It may be called before `build`.
        """
        for module in self.modules():
            module.frozen = frozen
            for parameter in owned(module, Parameter).values():
                parameter.requires_grad = not frozen
        return self

    def set_step(self, step: int) -> None:
        """Set every counter: dropout's masks are functions of (seed, path, step)."""
        self.require_built()
        with backends.get(self.device).quiet_device():
            for array in counters(self).values():
                array.fill(step)

    def to(self, device: str) -> Self:
        """Move parameters, buffers and counters to a device; gradients are dropped.

        An optimizer made before still points at the old arrays: make it afterwards.
        """
        self.require_built()
        move(self, device)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy, on the host, of every parameter and buffer by its path."""
        return copy_out(entries(self))

    @explained(LOADING)
    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy `state` into the arrays of this (built) module; all of it or, on error, nothing.

        Raises:
            WeightsMismatchError: it lists missing, unexpected and wrongly shaped entries.
        """
        copy_in(entries(self), state, f"the weights for {self.display_name}")

    def get_weights(self) -> list[np.ndarray]:
        """A copy, on the host, of every parameter and buffer, layer by layer."""
        return list(copy_out(by_layer(self)).values())

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Copy the list of `get_weights` into this (built) module; all of it or, on error, nothing.

        Raises:
            WeightsMismatchError: it lists missing, unexpected and wrongly shaped entries.
        """
        expect(
            weights,
            (list, tuple),
            "what holds the weights",
            "give the list that get_weights() returned",
        )
        paths = list(by_layer(self))
        paths += [f"array {number}" for number in range(len(paths), len(weights))]
        given = {path: np.asarray(array) for path, array in zip(paths, weights, strict=False)}
        copy_in(by_layer(self), given, f"the weights for {self.display_name}")

    @property
    def trainable(self) -> bool:
        """Keras's name for not `frozen`; setting it freezes the tree, or thaws it."""
        return not self.frozen

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self.freeze(not arguments.flag(trainable, "trainable"))

    def summary(self, batch: int = 1) -> str:
        """A table of the layers in the order of their calls; see `gpucnn.nn.summary`."""
        return table(self, batch)

    def summary_rows(self, batch: int = 1) -> list[SummaryRow]:
        """The rows of `summary` as data."""
        return rows(self, batch)

    def graph(self, *input_shapes: Shape) -> Graph:
        """The layers and how they connect, as a picture; see `gpucnn.nn.drawing`.

        `input_shapes`, as in `build`, are needed if the module is not built, and then it is.

        Raises:
            UsageError: the input shape is not known.
            GraphError: inside no_grad(); `forward` returns no Tensor computed from its inputs.
        """
        if input_shapes:
            self.build(*input_shapes)
        self.require_built()
        return of_module(self)

    @property
    def display_name(self) -> str:
        """Its name in messages: path and type, as in "conv2 (Conv2d)"."""
        where, what = self.path or self.name, type(self).__name__
        return f"{where} ({what})" if where else what

    @property
    def awaits_input(self) -> bool:
        """Whether its parameters are not created yet because it was never called."""
        return self.built_for is None and type(self).create is not Module.create

    def declared_shapes(self) -> tuple[Shape, ...]:
        """The input shapes that are known without a batch; `UsageError` if there are none."""
        if self.input_shape is not None:
            return (self.input_shape,)
        raise UsageError(
            f"{self.display_name} is not built",
            cause="its parameters are created when the shape of the input is known",
            fix="call build with it, as in model.build((1, 28, 28)), or the model on a batch",
        )

    def require_built(self) -> None:
        """Build the tree, or the modules that were put in since it was built.

        Raises:
            UsageError: the input shape is not known.
        """
        if self.path is None:
            self.build()
        elif any(module.path is None for module in self.modules()):
            self.build(seed=self.seed, device=self.device)


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Module):
        raise UsageError(
            f"{x.display_name} is given to a layer as its input",
            cause="a layer takes an array or a Tensor",
            fix="write Sequential([first, second]), or a Module whose forward calls the layers",
        )
    if x is None:
        raise UsageError(
            "None is given to a layer by position",
            cause="positions are for inputs, arrays (N, ...)",
            fix="give it by name, as in net(x, mask=None), or leave it out",
        )
    return Tensor(x)
