"""Faults in a network of one's own: each is reported with its line, and as no bug of gpucnn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SOURCE = """\
import sys
import numpy as np
from gpucnn import functions as F
from gpucnn import nn

def head(x):
    return x.nowhere

class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.d = nn.Dense(classes)

    def forward(self, x):
        {body}

def build(image_shape, classes):
    return Net(classes)
"""
LINE = 15  # of the body
OPTIONS = ["--data", "digits", "--epochs", 1, "--limit-batches", 2]
COMMANDS = [["train", *OPTIONS], ["summary"]]


@pytest.mark.parametrize("command", COMMANDS, ids=["train", "summary"])
@pytest.mark.parametrize(
    ("body", "says", "line"),
    [
        ("return self.d(flatten(x))", "NameError: name 'flatten' is not defined", LINE),
        ("return self.d(F.flaten(x))", "flaten", LINE),
        ("return self.d(F.flatten(x), 3, 4)", "4 were given", LINE),
        ("return np.maximum(self.d(F.flatten(x)), 0)", "Tensor", LINE),
        ("return x.foo", "foo", LINE),
        ("return head(x)", "nowhere", 7),
        ("return self.d(F.flatten(x)) / 0 + 1 / 0", "ZeroDivisionError", LINE),
        ("return [][2]", "IndexError", LINE),
        ("assert x.shape[0] == 3", "AssertionError", LINE),
        ("open('nofile')", "nofile", LINE),
        ("sys.exit(3)", "SystemExit: 3", LINE),
    ],
)
def test_a_fault_in_forward_has_its_line(
    run: Any, command: list[str], body: str, says: str, line: int
) -> None:
    Path("net.py").write_text(SOURCE.format(body=body))
    result = run(*command, "--model", "net.py:build")
    assert result.code == 2, result.err
    assert says in result.err
    assert f"line {line} of net.py" in result.err
    assert "bug in gpucnn" not in result.err
    assert "Traceback" not in result.err
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=["train", "summary"])
def test_an_error_of_ours_has_the_line_too(run: Any, command: list[str]) -> None:
    Path("net.py").write_text(SOURCE.format(body="return x.reshape(3, 7)"))
    result = run(*command, "--model", "net.py:build")
    assert result.code == 1
    assert "cause: the number of elements differs; line 15 of net.py" in result.err


def test_a_fault_while_training_has_its_line(run: Any) -> None:
    """It does not show in the dry run, which is in evaluation mode."""
    body = "return self.d(F.flatten(x)) if not self.training else x.foo"
    Path("net.py").write_text(SOURCE.format(body=body))
    result = run("train", *OPTIONS, "--model", "net.py:build")
    assert (result.code, "line 15 of net.py" in result.err) == (2, True)


@pytest.mark.parametrize("command", COMMANDS, ids=["train", "summary"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("self.d(F.flatten(x))", "forward of Net returned nothing"),
        ("return self.d(F.flatten(x)).numpy()", "returned a ndarray"),
        ("y = self.d(F.flatten(x)); return y, y", "returned a tuple"),
        ("return self.d(F.flatten(x)).sum()", "returned a single number"),
    ],
)
def test_forward_returns_the_outputs(run: Any, command: list[str], body: str, says: str) -> None:
    Path("net.py").write_text(SOURCE.format(body=body))
    result = run(*command, "--model", "net.py:build")
    assert result.code == 2, result.err
    assert says in result.err
    assert "a Tensor (N, K)" in result.err


def test_a_network_without_forward(run: Any) -> None:
    source = SOURCE.format(body="return x").replace("def forward", "def forwards")
    Path("net.py").write_text(source)
    for command in COMMANDS:
        result = run(*command, "--model", "net.py:build")
        assert result.code == 2
        assert "net.py:build returned a Net, which has no forward" in result.err
        assert "def forward(self, x)" in result.err


@pytest.mark.parametrize("name", ["Net", "Alone", "network"])
def test_a_function_makes_the_network(run: Any, name: str) -> None:
    source = SOURCE.format(body="return self.d(F.flatten(x))")
    source += "\nclass Alone(nn.Module):\n    def forward(self, x): return x\n\nnetwork = Net()\n"
    Path("net.py").write_text(source)
    result = run("train", *OPTIONS, "--model", f"net.py:{name}")
    assert result.code == 2
    assert f"net.py:{name} is no function" in result.err
    assert f"called as {name}((1, 28, 28), 10)" in result.err
    assert "def build(image_shape, classes)" in result.err
    assert "--model net.py:build" in result.err


def test_a_class_of_the_two_arguments_is_as_good(run: Any) -> None:
    source = SOURCE.format(body="return self.d(F.flatten(x))")
    Path("net.py").write_text(source.replace("self, classes=10", "self, image_shape, classes"))
    assert run("train", *OPTIONS, "--model", "net.py:Net").code == 0
    source = Path("net.py").read_text().replace("nn.Dense(classes)", "nn.Dense(clases)")
    Path("net.py").write_text(source)
    result = run("train", *OPTIONS, "--model", "net.py:Net")
    assert "net.py:Net failed with NameError" in result.err
    assert "line 12 of net.py" in result.err


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("net.py", "net.py:build"),
        ("net.py:", "net.py:build"),
        ("net:make", "net.py:make"),
        ("nets/net:", "nets/net.py:build"),
        ("resnet", "my_net.py:build"),
        ("net.py:3", "net.py:build"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS, ids=["train", "summary"])
def test_an_unknown_model_is_told_of_files(
    run: Any, command: list[str], model: str, form: str
) -> None:
    result = run(*command, "--model", model)
    assert result.code == 2
    assert "softmax, mlp, lenet, cnn" in result.err
    assert result.err.rstrip().endswith(f"a function in a Python file: {form}")


def test_debug_is_not_asked_for_twice(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("spam")

    monkeypatch.setattr("gpucnn.cli.doctor.describe_environment", fail)
    assert "run again with --debug" in run("doctor").err
    again = run("doctor", "--debug").err
    assert "run again" not in again
    assert "this is a bug in gpucnn" in again


@pytest.mark.filterwarnings("always::gpucnn.errors.GpucnnWarning")  # the command prints it
@pytest.mark.parametrize(
    ("last", "loss", "noted"),
    [
        ("F.softmax(y)", "softmax_cross_entropy", True),
        ("F.softmax(y)", "binary_cross_entropy", True),
        ("F.softmax(y)", "mean_squared_error", False),
        ("y", "softmax_cross_entropy", False),
        ("F.relu(y)", "softmax_cross_entropy", False),
        ("F.sigmoid(y)", "softmax_cross_entropy", False),
        ("F.log_softmax(y)", "softmax_cross_entropy", False),
    ],
)
def test_probabilities_are_no_logits(run: Any, last: str, loss: str, noted: bool) -> None:
    body = f"y = self.d(F.flatten(x)); return {last}"
    Path("net.py").write_text(SOURCE.format(body=body))
    result = run("train", *OPTIONS, "--model", "net.py:build", "--loss", loss, "-q")
    assert result.code == 0, result.err
    warning = f"warning: the outputs of Net are probabilities, and {loss} takes them for logits"
    assert (warning in result.err) == noted
