"""`TrainConfig`: all options of a training run.

One table serves Python, TOML, the environment and the command line: each field has its help text
and its limits, and `TrainConfig.load` merges the sources. The final weights of a run depend on
these values, the data and the machine, and on nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpucnn import files, models, optim, schedules
from gpucnn.data import NAMES, Augment, Reading
from gpucnn.data.reading import CHANNELS, CONVERT, parse_shape, parse_size
from gpucnn.errors import UsageError, cause_of, choose
from gpucnn.quoting import on_one_line, quoted
from gpucnn.training import metrics, variables
from gpucnn.training.code import Code
from gpucnn.training.described import MADE, is_described
from gpucnn.training.option import check, option

OPTIMIZERS = tuple(optim.OPTIMIZERS)
LOSSES = tuple(metrics.LOSSES)
#: The fields that decide how files become arrays.
READING = (
    "label_column", "image_shape", "channels", "transpose", "image_size", "convert", "skip_broken"
)  # fmt: skip
#: The fields on which the final weights do not depend: places, and how often to report. The images
#: themselves do matter: a checkpoint has their digest. The weights to start from are in the first
#: checkpoint.
INCIDENTAL = (
    "data", "data_dir", "device", "log_interval", "checkpoint_every", "threads", "graph", "log",
    "runs_dir", "name", "weights", *READING
)  # fmt: skip

#: The logs that a run can have besides metrics.jsonl; `gpucnn.training.logs` writes them.
LOGS = ("csv", "tensorboard")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The options of a training run. Raises `UsageError` for a value that is not acceptable.

    None stands for a default that is decided later: the learning rate by the optimizer and, with
    adam and adamw, by the model; momentum and weight decay by the optimizer; the size of the
    validation set by the data; the number of threads by the machine. The other fields are off.
    """

    data: str = option("mnist", "mnist, fashion-mnist, digits, or a path to images")
    data_dir: str | None = option(None, "look for the data set in this folder only")
    label_column: str | None = option(
        None, "label column of a CSV: its name, its number (-1: the last), or none"
    )
    image_shape: str | None = option(
        None,
        "shape of a table's images: 28x28, 32x32x3 (channels last), 3x32x32 (channels first)",
    )
    channels: str | None = option(
        None, "position of the channels in arrays: first or last", choices=CHANNELS
    )
    transpose: bool | None = option(
        None, "swap rows and columns of each image of an array, as EMNIST needs it"
    )
    image_size: str | None = option(None, "scale pictures to this: 64, or height x width")
    convert: str | None = option(
        None, "how to convert pictures: mnist (cut out, centered, light on dark) or none",
        choices=CONVERT,
    )  # fmt: skip
    skip_broken: bool = option(False, "leave out pictures that cannot be read, and name them")
    model: str = option(
        "lenet",
        f"{', '.join(models.NAMES)}, a function of your own, which returns a Module that gives"
        " logits: my_net.py:build; or the network in a file of gpucnn import: my_net.safetensors",
        choices=tuple(models.NAMES),
        others=(lambda text: Code.parse(text) or is_described(text) or text == MADE, Code.form),
    )
    weights: str | None = option(
        None,
        "start from the weights of a run or of a .safetensors file, and from its network if --model"
        " is not given; for other classes, the last layer is new",
    )
    freeze: str | None = option(
        None,
        "layers that stay as they are, by their names in gpucnn summary: conv1,conv2; or features:"
        " all but the last with weights",
    )
    device: str = option("auto", "cpu, cuda, cuda:1, sim (the GPU kernels, on the CPU), or auto")
    epochs: int = option(10, "passes over the training images", low=1)
    batch_size: int = option(64, "images in a training step", low=1)
    learning_rate: float | None = option(
        None,
        "peak learning rate (adam and adamw: 2e-3 for cnn, 3e-3 for the others and 1e-3 for a model"
        " of your own; rmsprop: 1e-3; sgd: 1e-2)",
        above=0,
    )
    optimizer: str = option("adam", ", ".join(OPTIMIZERS), choices=OPTIMIZERS)
    momentum: float | None = option(None, "momentum of sgd (0)", low=0, below=1)
    nesterov: bool = option(False, "Nesterov's form of sgd's momentum")
    weight_decay: float | None = option(None, "weight decay (adamw: 0.01, others: 0)", low=0)
    clip_norm: float | None = option(
        None,
        "largest joint norm of the gradients of a step, which are scaled down to it; a step whose"
        " gradients are not finite is skipped",
        above=0,
    )
    schedule: str = option(
        "cosine",
        f"course of the learning rate: {', '.join(schedules.NAMES)}",
        choices=schedules.NAMES,
    )
    warmup_steps: int = option(0, "steps of linear warm-up before the schedule", low=0)
    step_epochs: int = option(1, "epochs between the drops of schedule step", low=1)
    step_factor: float = option(0.7, "factor of each drop of schedule step", above=0)
    loss: str = option(
        "softmax_cross_entropy",
        ", ".join(LOSSES),
        choices=LOSSES,
        others=(metrics.is_own, lambda _: ""),  # of a trainer that has the loss itself
    )
    seed: int = option(0, "seed of weights, order, dropout and augmentation", low=0, below=2**63)
    validation: int | None = option(
        None, "training images held out (mnist: 5000, digits: 0, a path: 10 %)", low=0
    )
    standardise: bool = option(False, "scale pixels to mean 0 and deviation 1, not to [0, 1]")
    augment: str | None = option(
        None,
        "augmentation: strokes (handwriting shifted, rotated, scaled, slanted, thicker or thinner),"
        " flip, crop, color, or several as flip,crop,color",
    )
    shift: int = option(0, "augmentation: shift by up to this many pixels", low=0)
    rotate: float = option(0.0, "augmentation: rotate by up to this many degrees", low=0)
    patience: int | None = option(
        None, "stop after this many epochs without a better validation accuracy", low=1
    )
    log_interval: int = option(50, "steps between two checks of the loss", low=1)
    log: str | None = option(
        None, "logs in the run for other programs: csv, tensorboard, or both as csv,tensorboard"
    )
    checkpoint_every: int | None = option(
        None, "steps between checkpoints, besides the one after each epoch", low=1
    )
    limit_batches: int | None = option(
        None, "train and evaluate on at most this many batches", low=1
    )
    overfit_batches: int | None = option(
        None, "train and test on the first batches alone: can the model learn at all?", low=1
    )
    threads: int | None = option(None, "threads of the CPU backend (all usable cores)", low=1)
    graph: bool | None = option(
        None,
        "launch each training step as one CUDA graph (on, unless the network is your own code)",
    )
    runs_dir: str = option("runs", "where run directories are made")
    name: str | None = option(None, "name of the run directory (train-1, train-2, ...)")

    def __post_init__(self) -> None:
        for key in FIELDS:
            object.__setattr__(self, key, check_value(key, getattr(self, key)))
        for key in ("data", "data_dir", "runs_dir", "weights"):
            object.__setattr__(self, key, _expanded(key, getattr(self, key)))
        _ = self.reading, self.logs, Augment.of(self.augment)  # they refuse what is not acceptable
        if self.name is not None:
            check_name(self.name)
        if self.optimizer != "sgd" and (self.nesterov or self.momentum is not None):
            raise UsageError(
                f"momentum and nesterov are of sgd, the optimizer is {self.optimizer}",
                fix="leave them out, or choose --optimizer sgd",
            )
        if self.overfit_batches and (self.augment or self.shift or self.rotate):
            raise UsageError(
                "overfit_batches trains on the same images again and again: nothing is augmented",
                fix="leave out augment, shift and rotate",
            )

    @classmethod
    def load(
        cls,
        toml: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> TrainConfig:
        """The defaults, overridden by the values of `given`; raises the same."""
        return cls(**cls.given(toml, env, flags))

    @staticmethod
    def given(
        toml: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The values by field name of a TOML file, overridden by the environment, then by flags.

        Args:
            toml: path of a file of ``key = value`` lines, the keys being the fields' names.
            env: the environment (`os.environ`); ``GPUCNN_EPOCHS`` sets ``epochs``, and so on.
            flags: values by field name; None stands for a flag that was not given.

        Raises:
            UsageError: a key or a variable that begins with GPUCNN_ is unknown, or a value is of
                the wrong type or out of its limits; the error names the key and where it came from.
        """
        values: dict[str, Any] = {}
        if toml is not None:
            for key, value in _read_toml(Path(toml)).items():
                values[key] = check_value(key, value, str(toml))
        for key, value in variables.read(FIELDS, os.environ if env is None else env).items():
            origin = f"${variables.name_of(key)}"
            values[key] = check_value(key, parse_value(key, value), origin)
        for key, value in (flags or {}).items():
            if value is not None:
                values[key] = check_value(key, value, flag_name(key))
        return values

    @property
    def reading(self) -> Reading:
        """The options of `READING`, which decide how files become arrays.

        Raises:
            UsageError: the options contradict each other, or one cannot be understood.
        """
        shape, channels = parse_shape(self.image_shape) if self.image_shape else (None, None)
        if channels and self.channels and channels != self.channels:
            raise UsageError(
                f"image_shape is {self.image_shape}, which has the channels {channels}, and"
                f" channels is {self.channels}",
                fix="leave one of them out",
            )
        return Reading(
            label_column=self.label_column,
            image_shape=shape,
            channels=channels or self.channels,
            transpose=self.transpose,
            image_size=parse_size(self.image_size) if self.image_size else None,
            convert=self.convert,
            skip_broken=self.skip_broken,
        )

    @property
    def logs(self) -> tuple[str, ...]:
        """The names in `log`, each once.

        Raises:
            UsageError: there is no such log.
        """
        names = [] if self.log is None else [name.strip() for name in self.log.split(",")]
        return tuple(dict.fromkeys(choose({name: name for name in LOGS}, n, "log") for n in names))

    def to_toml(self) -> str:
        """The configuration as TOML; fields that are None are left out."""
        import tomli_w

        values = {key: value for key, value in self.as_dict().items() if value is not None}
        return tomli_w.dumps(values)

    def as_dict(self) -> dict[str, Any]:
        """The values by field name."""
        return {key: getattr(self, key) for key in FIELDS}

    def resolved(self, device: str) -> TrainConfig:
        """The same options with every default filled in and every path absolute.

        Args:
            device: name of the device that ``auto`` stands for.
        """
        learning_rate = self.learning_rate or self.default_learning_rate()
        data, data_dir = os.path.abspath(self.data), None  # a path needs no data_dir
        if self.data in NAMES:
            data = self.data
            data_dir = os.path.abspath(self.data_dir) if self.data_dir else None
        code = Code.parse(self.model)
        model = os.path.abspath(self.model) if is_described(self.model) else self.model
        return dataclasses.replace(
            self,
            device=device,
            learning_rate=learning_rate,
            data=data,
            data_dir=data_dir,
            model=f"{os.path.abspath(code.file)}:{code.function}" if code else model,
            weights=os.path.abspath(self.weights) if self.weights else None,
        )

    def deciding(self, device: str) -> dict[str, Any]:
        """The values, `resolved` for a device, of the fields that are not `INCIDENTAL`."""
        values = self.resolved(device).as_dict()
        return {key: value for key, value in values.items() if key not in INCIDENTAL}

    def default_learning_rate(self) -> float:
        """The learning rate of a training that is given none."""
        if self.optimizer in ("adam", "adamw") and self.model in models.NAMES:
            return models.default_learning_rate(self.model)
        return optim.default_learning_rate(self.optimizer)


def check_name(name: str) -> None:
    """Raise a `UsageError` if the directory of a run or a sweep cannot have a name."""
    if not name or name[0] == "." or Path(name).name != name:
        raise UsageError(
            f"name is {quoted(repr(name))}, which is not a plain directory name",
            fix="give a name without slashes or a leading dot; --runs-dir says where",
        )
    if on_one_line(name) != name:
        raise UsageError(
            f"name is {quoted(repr(name))}, which has characters that cannot be seen",
            fix="give a name without line breaks, tabs and other control characters",
        )


FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}


@functools.cache  # the types are read from their text, which takes as long as a step
def field_type(key: str) -> tuple[type, bool]:
    """The type of a field, and whether it may be None."""
    hint = typing.get_type_hints(TrainConfig)[key]
    if isinstance(hint, types.UnionType):
        return next(kind for kind in typing.get_args(hint) if kind is not type(None)), True
    return hint, False


def flag_name(key: str) -> str:
    """The command line's flag for a field: ``learning_rate`` is ``--lr``."""
    return "--lr" if key == "learning_rate" else f"--{key.replace('_', '-')}"


_LONGEST = 1 << 16  # bytes of a configuration; one with all fields has 2,000
_DEEPEST = 100  # dots in a line


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = files.read_text(path, _LONGEST)
        if max(line.count(".") for line in text.split("\n")) > _DEEPEST:
            raise ValueError("it is nested too deeply")  # tomllib would take memory and time
        return tomllib.loads(text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read", cause=cause_of(error), fix="check the path after --config"
        ) from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or too deep
        raise UsageError(
            f"{path} is not valid TOML",
            cause=quoted(error),
            fix='write a line for each option: epochs = 5, model = "lenet"',
        ) from error


def parse_value(key: str, text: str) -> Any:
    """The value in a text, as of an environment variable, for the field ``key``.

    It is in the type of the field where it can be read so; else it is the text.
    """
    kind, _ = field_type(key)
    if kind is bool:
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        return words.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def check_value(key: str, value: Any, origin: str | None = None) -> Any:
    """``value`` in the type of the field ``key``; `UsageError` if it is not acceptable."""
    source = f" (from {origin})" if origin else ""
    field = choose(FIELDS, key, "key", source)
    kind, optional = field_type(key)
    return None if value is None and optional else check(field, kind, value, source)


def _expanded(key: str, path: str | None) -> str | None:
    """A path with a leading ``~`` or ``~user`` replaced by the home folder."""
    expanded = os.path.expanduser(path) if path else path
    if expanded and expanded.startswith("~"):
        raise UsageError(
            f"{key} is {quoted(repr(path))}, and there is no such home folder",
            fix="give another path; './' before it makes it one of a file that is called so",
        )
    return expanded
