"""Which cases of a large family of tests run every time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """The cases for `pytest.mark.parametrize`: all of them are slow but the quick ones."""
    cases = list(cases)
    missing = [case for case in quick if case not in cases]
    assert not missing, f"there is no case {missing}"
    return [c if c in quick else pytest.param(c, marks=pytest.mark.slow) for c in cases]
