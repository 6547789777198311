"""The fixtures that all tests share leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import gpucnn.backend
own = gpucnn.backend.get("cpu")

def test_with(backend):
    assert gpucnn.backend.get("cpu") is backend
    assert backend is not own

def test_after():
    assert gpucnn.backend.get("cpu") is own
"""


def test_the_backend_of_a_test_is_gone_after_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(TESTS)
    # In a process of its own: pytester would drop modules from this one that others have imported.
    result = pytester.runpytest_subprocess("--device", "cpu", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
