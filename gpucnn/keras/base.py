"""The structure of Keras's `Sequential`: layers, shapes, weights, seeds and files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from gpucnn import backend as backends
from gpucnn import nn
from gpucnn.autograd import Tensor, no_grad
from gpucnn.errors import UsageError
from gpucnn.keras import arrays, files, outputs, spelling, utils
from gpucnn.keras.compiled import Compiled
from gpucnn.keras.input_range import InputRange
from gpucnn.keras.labels import Reader
from gpucnn.keras.layers import InputLayer
from gpucnn.nn.arguments import is_whole
from gpucnn.nn.sequential import Chain
from gpucnn.training import checkpoint
from gpucnn.training.metrics import Metric


@dataclass(frozen=True)
class Shaped:
    """The shape of one output, in an object that is not searched for layers.

    Attributes:
        modules: those in the model when the shape was found.
    """

    modules: list[nn.Module]
    shape: tuple[int, ...]


class Base(nn.Sequential):
    """`gpucnn.keras.Sequential` without the verbs that compute.

    Attributes:
        compiled: the settings that `compile` was given, or None.
        trained_on: the range of the inputs of all trainings; None before the first.
        stop_training: a callback sets it to end the training.
    """

    compiled: Compiled | None = None
    trained_on: InputRange | None = None
    stop_training: bool = False
    _own_seed: int | None = None
    _shaped: Shaped | None = None

    def add(self, layer: nn.Module) -> None:
        """Append a layer; an `InputLayer` sets the shape of the input."""
        if not isinstance(layer, InputLayer):
            super().add(layer)
            self._check_channels(self.input_shape)
        elif len(self) or self.input_shape is not None:
            raise UsageError("an InputLayer comes after another layer", fix="put it first")
        else:
            self.input_shape = layer.input_shape

    def build(
        self,
        *input_shapes: Any,
        input_shape: Any = None,
        seed: int | None = None,
        channels_first: bool = False,
        **options: Any,
    ) -> Self:
        """`Module.build`; a shape may begin with None for the batch axis, as in Keras.

        Args:
            seed: for the initial weights and dropout; by default that of `compile`, else one that
                `utils.set_random_seed` and the number of the model give.
        """
        given = input_shapes if input_shape is None else (input_shape,)
        shapes = tuple(map(_without_batch, given))
        if self.path is None and not channels_first:
            for shape in shapes or self.declared_shapes():
                self._check_channels(shape)
        options |= {"seed": self.own_seed() if seed is None else _plain(seed)}
        super().build(*shapes, channels_first=channels_first, **options)
        for layer in self.modules():
            if isinstance(layer, nn.LayerNorm) and len((layer.built_for or ((),))[0]) == 3:
                raise UsageError(
                    f"{layer.display_name} gets images",
                    cause="Keras normalizes the channels, its last axis of images; here the last"
                    " axis is the width",
                    fix="put Flatten() before it, or use BatchNormalization()",
                )
        return self

    def __call__(self, *inputs: Any, training: bool | None = None, **options: Any) -> Tensor:
        """The outputs, a Tensor; `training` sets the mode of this call."""
        inputs = tuple(map(arrays.as_float32, inputs))
        if training is None:
            return super().__call__(*inputs, **options)
        with self.training_mode() if training else self.evaluating():
            return super().__call__(*inputs, **options)

    def forward(self, x: Tensor, chain: Chain | None = None, *, logits: bool = False) -> Tensor:
        """The output; with `logits` that of the layers without the final activation."""
        return super().forward(x, self._logits if logits else chain)

    @property
    def layers(self) -> list[nn.Module]:
        """The layers in their order."""
        return list(self)

    def get_layer(self, name: str | None = None, index: int | None = None) -> nn.Module:
        """The layer of a name, as `summary` shows it, or at a position."""
        names = list(self.children().keys())
        example = f'write model.get_layer("{names[-1]}"), or model.layers[-1]' if names else None
        if (name is None) == (index is None):
            raise UsageError(
                "get_layer takes a name or an index, and one of them",
                cause="none is given" if name is None else f"{name!r} and {index!r} are given",
                fix=example,
            )
        given: Any = name if index is None else index
        try:
            return self[given]
        except LookupError as error:
            raise UsageError(
                f"there is no layer {given!r}",
                cause=f"the layers are {', '.join(names)}" if names else "the model has none",
                fix=example or "add one first",
            ) from error

    def count_params(self) -> int:
        """The number of elements of all weights, with frozen ones and batch norm's statistics."""
        return sum(array.size for array in self.get_weights())

    @property
    def built(self) -> bool:
        """Whether the weights were drawn."""
        return self.path is not None

    @property
    def trainable_weights(self) -> list[nn.Parameter]:
        """The parameters that are not frozen, in the order of the layers."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    trainable_variables = trainable_weights

    @property
    def metrics_names(self) -> list[str]:
        """The names of the results of `evaluate`, in its order: "loss", then the metrics."""
        return self.require_compiled("model.metrics_names").names()

    @property
    def loss(self) -> str:
        """Keras's name of the loss."""
        return self.require_compiled("model.loss").loss.name

    @property
    def optimizer(self) -> Any:
        """Keras's form of the optimizer. Its `learning_rate` may be set, also within a `fit`."""
        return self.require_compiled("model.optimizer").optimizer

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(None, ...), the shape of the outputs of a built model."""
        return (None, *self.shaped().shape)

    def shaped(self) -> Shaped:
        """The shape of one output; a new object after a layer was put in or taken out."""
        modules = [module for _, module in self.named_modules()][1:]
        known = self._shaped
        if known is None or known.modules != modules:
            self.require_built()
            zeros = np.zeros((1, *(self.built_for or ((),))[0]), np.float32)
            with self.evaluating(), no_grad():
                output = self(Tensor(backends.get(self.device).asarray(zeros)))
            if not isinstance(output, Tensor):
                raise UsageError(
                    f"the model gives a {type(output).__name__}",
                    cause="a forward must return a Tensor",
                    fix="return the result of gpucnn's functions, without .numpy()",
                )
            known = self._shaped = Shaped(modules, output.shape[1:])
        return known

    @spelling.verb
    def summary(  # type: ignore[override]
        self, batch: int = 1, *, print_fn: Callable[[str], Any] = print
    ) -> None:
        """Print a table of the layers.

        Args:
            batch: images in the shapes, operations and memory shown; see `gpucnn.nn.summary`.
            print_fn: gets the table.
        """
        print_fn(super().summary(batch))

    @spelling.verb
    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write the model to a .safetensors file: layers, weights and the settings of `compile`.

        An interruption leaves the old file. `load_model` reads it.

        Raises:
            UsageError: the path has another ending, the model is not built, or a layer is of a
                class of one's own.
            StorageError: it cannot be written.
        """
        files.save(self, self.compiled, self.trained_on, filepath)

    @spelling.verb
    def save_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Write the weights alone to a .safetensors file."""
        checkpoint.save_weights(files.checked_path(filepath), self.state_dict(), {}, option="")

    @spelling.verb
    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Load the weights of a file of `save`, `save_weights` or a run of `gpucnn train`.

        Raises:
            DataError: there is no such file, or it is damaged.
            WeightsMismatchError: they are of another model.
        """
        self.load_state_dict(checkpoint.load_weights(files.readable_path(filepath))[0])

    # Inside.

    def _check_channels(self, shape: Any) -> None:
        """`ShapeError` if the input is (H, W, C) and the first layer takes images (C, H, W)."""
        passing = (nn.Activation, nn.Dropout)
        first = next((x for x in outputs.flat(self) if not isinstance(x, passing)), None)
        if first is not None and first.takes_images:
            spelling.check_channels(shape)

    def extend_range(self) -> InputRange:
        """The range of the inputs of all trainings, to extend by those of one that begins."""
        self.trained_on = self.trained_on or InputRange()
        return self.trained_on

    def require_compiled(self, verb: str) -> Compiled:
        """The settings of `compile`; a `UsageError` that names the verb if it was not called."""
        if self.compiled is None:
            raise UsageError(
                f"{verb} was called before compile",
                fix='call model.compile(loss="categorical_crossentropy") first',
            )
        return self.compiled

    def declared_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of an `Input`, or else that of the first layer."""
        return (self.input_shape,) if self.input_shape is not None else super().declared_shapes()

    def own_seed(self) -> int:
        """The seed of its weights; a model without one gets the next."""
        if self.path is not None:
            return self.seed
        if self._own_seed is None:
            self._own_seed = utils.next_seed()
        return self._own_seed

    def take_seed(self, seed: int | None) -> int:
        """The seed for `compile`; its own in place of None.

        Raises:
            UsageError: the weights were drawn with another seed.
        """
        if seed is None:
            return self.own_seed()
        seed = _plain(seed)
        if self.path is not None and seed != self.seed:
            raise UsageError(
                f"compile(seed={seed!r}) comes too late",
                cause=f"the weights were drawn with the seed {self.seed}, by summary, build, "
                "get_weights, a call or load_model",
                fix=f"call keras.utils.set_random_seed({seed!r}) before the model is made, or "
                "compile first; without a seed, compile takes that of the weights",
            )
        return seed

    def prepare(self, x_shape: Sequence[int]) -> None:
        """Build the model for inputs (N, ...), or check that it is built for such."""
        if self.built_for is None:
            device = self.compiled.device if self.compiled else "auto"
            self.build(tuple(x_shape[1:]), device=device)
        elif len(self.built_for) == 1:
            arrays.check_layout(tuple(x_shape), self.built_for[0])

    def reader(self) -> Reader:
        """The reader of labels for this model, which is built and compiled."""
        compiled = self.require_compiled("fit")
        shape = self.shaped().shape
        for metric in compiled.metrics:
            metric.check(shape)
        accuracy = any(metric.is_accuracy for metric in compiled.metrics)
        return Reader(compiled.loss, shape, accuracy)

    @cached_property
    def _logits(self) -> Chain:
        """The layers without the final activation. It is split off once: a built model is fixed."""
        self.require_built()
        return Chain(outputs.split(self)[0])

    def for_loss(self) -> outputs.Network:
        """The network that the loss is computed on; see `gpucnn.keras.outputs`."""
        loss = self.require_compiled("fit").loss
        return outputs.for_loss(self, partial(self, logits=True), loss)

    def measured(self, network: outputs.Network) -> tuple[Metric, ...]:
        """The metrics of `compile` beside the accuracy.

        Their y_pred is what `predict` gives; for those that take probabilities it is also a softmax
        or sigmoid of logits, if the loss takes logits.

        Args:
            network: the result of `for_loss`.
        """
        compiled = self.require_compiled("fit")
        predictions = compiled.loss.function.predictions
        return tuple(
            metric.measured(
                predictions if metric.takes_probabilities or network is not self else None
            )
            for metric in compiled.metrics
            if not metric.is_accuracy
        )


def _plain(seed: Any) -> Any:
    """A whole number of NumPy as one of Python, which a file can hold; other values unchanged."""
    return int(seed) if is_whole(seed) else seed


def _without_batch(shape: Any) -> Any:
    if isinstance(shape, (tuple, list)) and shape and shape[0] is None:
        return tuple(shape[1:])
    return shape
