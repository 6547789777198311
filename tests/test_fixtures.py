"""The fixtures that all tests share leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpucnn.backend

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
    conftest = (Path(__file__).with_name("conftest.py")).read_text()
    pytester.makeconftest(conftest)
    pytester.makepyfile(TESTS)
    before = gpucnn.backend._cpu
    result = pytester.runpytest_inprocess("--device", "cpu", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
    assert gpucnn.backend._cpu is before
