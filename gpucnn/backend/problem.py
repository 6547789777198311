"""Problems that keep a device, or its full speed, from being used here."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """The cause, and what to do about it."""

    cause: str
    fix: str
