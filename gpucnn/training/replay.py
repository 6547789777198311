"""The training step as a graph: captured after some eager steps, and replayed from then on."""

from __future__ import annotations

import functools
import operator
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Tensor, is_grad_enabled
from gpucnn.data import Loader
from gpucnn.errors import GpucnnError, OutOfMemoryError, UsageError
from gpucnn.nn.activations import ACTIVATIONS
from gpucnn.nn.building import has_own_forward
from gpucnn.nn.overrides import local
from gpucnn.nn.state import owned
from gpucnn.recording import count_change
from gpucnn.training.metrics import is_ours
from gpucnn.training.step import TrainStep

#: Eager steps before a capture: they compile kernels, and make the arrays that stay.
EAGER = 2


class Replays:
    """Calling it with the number of images of the next batch does a training step.

    Where the device has graphs, the third step with a number of images is captured. Later steps are
    replayed: one launch, in which Python computes nothing. The results are the same to the bit.

    A graph holds what Python decided when it was captured. So before each replay it is compared
    with what a step would read on the host now. If something differs, the graphs are dropped, the
    step is eager, and a later one is captured anew. While a module is observed, steps are eager.

    Args:
        step: the step.
        loader: `step` is done on the batches that it takes.
        rates: float32 (steps of the training,), the learning rate of each step.
        wanted: False to capture nothing; None to capture what is of this library alone: code of the
            user's may depend on what no comparison shows, such as random numbers. True captures all
            code, as the user says that it depends on its inputs and on the attributes of modules.
        notes: a list, to which a sentence is added if steps are not captured.

    Raises:
        UsageError: graphs are wanted, and the device has none.
    """

    def __init__(
        self,
        step: TrainStep,
        loader: Loader,
        rates: NDArray[np.float32],
        wanted: bool | None,
        notes: list[str],
    ) -> None:
        if wanted and not step.backend.has_graphs:
            raise UsageError(
                f"graph is set, and the device {step.backend.name} has no graphs",
                cause="CUDA alone captures a training step as a graph",
                fix="leave out --graph, or choose --device cuda",
            )
        self.step, self.loader = step, loader
        self._rates = step.backend.asarray(rates)
        self.wanted, self.notes = wanted, notes
        self._captures = wanted is not False and step.backend.has_graphs and loader.is_replayable
        self._graphs: dict[int, _Graph] = {}
        self._eager: Counter[int] = Counter()  # steps since the graphs were dropped

    def __call__(self, images: int) -> None:
        if not self._captures or local.observers:
            self._work(images)
            return
        graph = self._graphs.get(images)
        if graph is not None and graph.is_current():
            graph.replay()
            return
        if graph is not None:
            self._graphs.clear()
            self._eager.clear()
        if self._eager[images] < EAGER:
            self._eager[images] += 1
            self._work(images)
        else:
            self._capture(images)

    def write_rates(self, rates: NDArray[np.float32]) -> None:
        """Look the learning rates up in these from now on."""
        self.step.backend.write(self._rates, rates)

    def _work(self, images: int) -> None:
        """A whole step: gather the batch, forward, backward, update."""
        try:
            batch = self.loader.take(
                images,
                rates=self._rates,
                step=self.step.steps,
                learning_rate=self.step.optimizer.learning_rate,
            )
        except OutOfMemoryError as error:
            error.suggest_batch(images)
            raise
        self.step(*batch)

    def _capture(self, images: int) -> None:
        """Capture the step and do it; without a graph if it cannot be captured."""
        if self.wanted is None and (own := _of_the_user(self.step)):
            self._give_up(f"{own} is your own code; --graph captures it all the same")
            self._work(images)
            return
        try:
            launch = self.step.backend.capture(lambda: self._work(images))
        except Exception as error:
            self._work(images)  # if that fails too, the capture is not to blame
            self._failed(error)
            return
        self._graphs[images] = graph = _Graph(launch, _Watch(self.step, self.loader), self.step)
        graph.replay()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, OutOfMemoryError):
            self._give_up("the memory of the device has no room for a second copy of its arrays")
            return
        cause = error.message if isinstance(error, GpucnnError) else str(error)
        cause += f", in {place}" if (place := _place(error)) else ""
        if not self.wanted:
            self._give_up(cause)
            return
        raise UsageError(
            f"the training step cannot be captured as a graph: {cause}",
            cause="a graph holds work of the device; a step that waits for a value is none",
            fix="compute with Tensors in forward, without .numpy(), float() or print of a value;"
            " or train with --no-graph (graph=False)",
        ) from error

    def _give_up(self, why: str) -> None:
        self._captures = False
        self._graphs.clear()
        self.notes.append(f"the training step is not captured as a graph: {why}")


class _Graph:
    """A captured step, and what else Python does in a step."""

    def __init__(self, launch: Callable[[], None], watch: _Watch, step: TrainStep) -> None:
        self._launch, self._watch = launch, watch
        self._parameters = [
            (parameter, parameter.grad, parameter.requires_grad and parameter.grad is not None)
            for parameter in step.optimizer.parameters.values()
        ]

    def is_current(self) -> bool:
        """Whether an eager step would do the same."""
        return self._watch.is_unchanged()

    def replay(self) -> None:
        """Do the step. Each gradient is then the array in which the graph computes it."""
        self._launch()
        now = count_change()
        for parameter, grad, changes in self._parameters:
            parameter.grad = grad
            if changes:
                parameter.changed_at = now


class _Watch:
    """What a step reads on the host: the attributes of modules, optimizer and loader, and modes.

    Objects are compared by their identity, which is quick, and holds for arrays: a graph works on
    the memory of those that it was captured with. Here they are kept alive for it.
    """

    def __init__(self, step: TrainStep, loader: Loader) -> None:
        self._step, self._loader = step, loader
        modules = step.model.modules().values()  # those that are there now
        self._tensors: dict[int, Tensor] = {}
        for parts in (*(owned(m, Tensor) for m in modules), step.optimizer.parameters):
            self._tensors.update({id(tensor): tensor for tensor in parts.values()})
        self._tables: list[dict[Any, Any] | list[Any]] = []
        for thing in (*modules, step.optimizer):
            self._add(vars(thing))
        self._seen = self._look()

    def is_unchanged(self) -> bool:
        """Whether everything is as it was when this was made."""
        now, seen = self._look(), self._seen
        return len(now) == len(seen) and all(map(operator.is_, now, seen))

    def _add(self, value: Any) -> None:
        """Note a container, and those in it."""
        if isinstance(value, (dict, list)) and not any(value is table for table in self._tables):
            self._tables.append(value)
        if isinstance(value, dict):
            value = value.values()
        elif not isinstance(value, (list, tuple)):
            return
        for member in value:
            self._add(member)

    def _look(self) -> list[Any]:
        step, loader = self._step, self._loader
        found = [
            is_grad_enabled(), step.forward, step.loss, step.optimizer, step.totals.sums,
            *step.totals.metric_sums, *step.backend.choices, *loader.read,
        ]  # fmt: skip
        for table in self._tables:
            found += table
            if isinstance(table, dict):
                found += table.values()
        for tensor in self._tensors.values():
            found += tensor.data, tensor.requires_grad
        return found


def _of_the_user(step: TrainStep) -> str | None:
    """What is part of a step and not of this library, in words; None if all is."""
    for module in step.model.modules().values():
        functions = [
            value
            for name, value in vars(module).items()
            if _is_function(value) and not name.endswith("_initializer")  # called in no step
        ]
        if has_own_forward(module) or not all(map(is_ours, (type(module), *functions))):
            return module.display_name
    if not is_ours(type(step.optimizer)):
        return f"the optimizer {type(step.optimizer).__name__}"
    if not is_ours(step.forward if _is_function(step.forward) else type(step.forward)):
        return "the function from images to outputs"
    if not all(map(is_ours, ACTIVATIONS.values())):
        return "an activation"
    return step.own_function


def _is_function(value: Any) -> bool:
    return isinstance(value, (types.FunctionType, types.MethodType, functools.partial))


def _place(error: BaseException) -> str | None:
    """The innermost line of the user's code that an error passed through."""
    place, trace = None, error.__traceback__
    while trace is not None:
        code, module = trace.tb_frame.f_code, str(trace.tb_frame.f_globals.get("__name__"))
        if module.partition(".")[0] not in ("gpucnn", "cupy", "numpy"):
            place = f"line {trace.tb_lineno} of {code.co_filename}"
        trace = trace.tb_next
    return place
