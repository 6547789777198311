"""The variables of the environment that gpucnn knows: all that begin with GPUCNN_.

A misspelt one would do nothing. So the options of a training refuse it, and other commands warn.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping

from gpucnn.errors import GpucnnWarning, UsageError, similar
from gpucnn.quoting import quoted

_PREFIX = "GPUCNN_"

#: Those that set no field of `TrainConfig`.
OTHER_VARIABLES = (
    "GPUCNN_CACHE_DIR", "GPUCNN_COMMIT", "GPUCNN_MAX_INPUT_MB", "GPUCNN_MAX_PIXELS",
    "GPUCNN_MIRROR", "GPUCNN_NUMBA",
    "GPUCNN_SIM_FROM", "GPUCNN_SIM_ORDER", "GPUCNN_SIM_SANITIZE",
)  # fmt: skip


def name_of(key: str) -> str:
    """The variable that sets a field: ``epochs`` is set by ``GPUCNN_EPOCHS``."""
    return f"{_PREFIX}{key.upper()}"


def read(fields: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    """The values of the fields that the environment sets; an empty variable is as if unset.

    Raises:
        UsageError: a variable that begins with GPUCNN_ is unknown.
    """
    for name, fix in _unknown(fields, env).items():
        raise UsageError(
            f"the environment variable {quoted(name)} is unknown",
            cause="a variable that begins with GPUCNN_ sets an option that a TOML file can hold;"
            " others, such as --dry-run and --quiet, are given on the command line alone",
            fix=fix,
        )
    return {key: env[name_of(key)] for key in fields if env.get(name_of(key))}


def warn_of_unknown(fields: Iterable[str], env: Mapping[str, str] | None = None) -> None:
    """Warn of each variable that `read` refuses; for commands that read none of the fields."""
    for name, fix in _unknown(fields, os.environ if env is None else env).items():
        warnings.warn(
            f"the environment variable {quoted(name)} is unknown, and changes nothing\nfix: {fix}",
            GpucnnWarning,
            stacklevel=2,
        )


def _unknown(fields: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    """Name -> what to do, of each set variable that begins with GPUCNN_ and is not known."""
    names = (*map(name_of, fields), *OTHER_VARIABLES)
    known = {name.removeprefix(_PREFIX).lower(): name for name in names}
    fixes = {}
    for name in sorted(env):
        if name.startswith(_PREFIX) and env[name] and name not in names:
            close = similar(known, name.removeprefix(_PREFIX))
            unset = f"unset {quoted(name)}"
            fixes[name] = f"did you mean {known[close]}? otherwise unset it" if close else unset
    return fixes
