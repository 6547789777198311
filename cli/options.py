"""Options that several commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import click

from gpucnn import models
from gpucnn.cli.completion import offer, offer_runs
from gpucnn.data import NAMES, Reading
from gpucnn.data.augment import KINDS as AUGMENT
from gpucnn.quoting import quoted
from gpucnn.training import SavedModel
from gpucnn.training.config import FIELDS, LOGS, READING, field_type, flag_name
from gpucnn.training.transfer import FEATURES

DEVICES = ("auto", "cpu", "cuda", "cuda:1", "sim")
_WITH_RUN = tuple(key for key in READING if key not in ("image_shape", "image_size"))


SPLITS = ("test", "validation", "train", "all")
_OFFERS = {
    "augment": offer(*AUGMENT, "flip,crop,color"),
    "data": offer(*NAMES, files=True),
    "device": offer(*DEVICES),
    "freeze": offer(FEATURES),
    "log": offer(*LOGS, ",".join(LOGS)),
    "model": offer(*models.NAMES, files=True),
    "weights": offer_runs,
    "data_dir": offer(files=True),
    "runs_dir": offer(files=True),
}


class Number(click.FloatRange):
    """A number in a range, and not nan, which is in every range of Click."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Whole(click.IntRange):
    """A whole number in a range, and of 31 bits: sizes are computed with it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number: int = super().convert(value, param, ctx)
        if number >= 2**31:
            self.fail(f"{quoted(value)} is more than {2**31 - 1:,}.", param, ctx)
        return number


def config_option(key: str, others: Sequence[str] = ()) -> Callable[..., Any]:
    """The option for a field of TrainConfig, with the field's help text and default.

    `others` are flags beside that of `flag_name`.
    """
    field = FIELDS[key]
    kind, _ = field_type(key)
    default = field.default
    shown = "" if default is None or default is False else f" [{default}]"
    flag = flag_name(key) + (f"/--no-{key.replace('_', '-')}" if kind is bool else "")
    choices = field.metadata["choices"] or ()
    # The default is None: only what was typed overrides the TOML file and the environment.
    return click.option(
        flag,
        *others,
        key,
        type=kind,
        default=None,
        help=field.metadata["help"] + shown,
        shell_complete=_OFFERS.get(key, offer(*choices)),
    )


def device_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --device."""
    return click.option(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:1, sim or auto [auto]",
        shell_complete=_OFFERS["device"],
    )(command)


def run_argument(required: bool = True) -> Callable[..., Any]:
    """Adds the argument RUN."""
    return click.argument("run", required=required, shell_complete=offer_runs)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds RUN and options for its weights and code; see `SavedModel.load`."""
    for decorate in (
        click.option("--trust-code", is_flag=True, help="run the model's code that RUN keeps"),
        click.option(
            "--model",
            "own_model",
            metavar="FILE.py:NAME",
            help="the code of RUN's model, if it is your own",
            shell_complete=offer(files=True),
        ),
        click.option(
            "--weights",
            type=click.Choice(["last", "best"]),
            help="which weights of RUN [best if it had --patience, else last]",
        ),
        run_argument(),
    ):
        command = decorate(command)
    return command


def saved_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`model_options` for a command that gets `load`.

    `load` is a function from the name of the device to the `SavedModel`.
    """

    @functools.wraps(command)
    def with_saved(
        run: str, weights: str | None, own_model: str | None, trust_code: bool, **options: Any
    ) -> Any:
        load = functools.partial(
            SavedModel.load, run, weights, model=own_model, trust_code=trust_code
        )
        return command(load=load, **options)

    return model_options(with_saved)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --data and --data-dir for labeled data."""
    for decorate in (
        click.option(
            "--data-dir",
            help="look for the data set in this folder only",
            shell_complete=offer(files=True),
        ),
        click.option(
            "--data",
            help="data set or path [what the run was trained on]",
            shell_complete=offer(*NAMES, files=True),
        ),
    ):
        command = decorate(command)
    return command


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options by which files become arrays; the command gets them as `reading`."""

    @functools.wraps(command)
    def with_reading(**options: Any) -> Any:
        said = {key: options.pop(key) for key in _WITH_RUN}
        given = {key: value for key, value in said.items() if value is not None}
        return command(reading=Reading(**given), **options)

    for key in reversed(_WITH_RUN):
        with_reading = config_option(key)(with_reading)
    return with_reading
