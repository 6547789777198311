"""Every error of the data part says what to do next."""

from __future__ import annotations

import ast
from pathlib import Path

import gpucnn.data
from gpucnn import errors


def test_every_error_has_a_fix() -> None:
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.GpucnnError)
    }
    calls = [
        (file.name, node)
        for file in Path(gpucnn.data.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
    ]
    assert len(calls) > 30
    bare = [
        f"{name}:{node.lineno}"
        for name, node in calls
        if "fix" not in {keyword.arg for keyword in node.keywords}
    ]
    assert not bare
