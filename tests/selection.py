"""Which cases of a large family of tests run every time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(names: Iterable[str], *quick: str) -> list[Any]:
    """The names as arguments of `pytest.mark.parametrize`: all are slow but the quick ones."""
    names = list(names)
    assert set(quick) <= set(names), f"there is no case {set(quick) - set(names)}"
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in names]
