"""What keeps a device, or its full speed, from being used here."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """What is in the way, and what to do."""

    cause: str
    fix: str
