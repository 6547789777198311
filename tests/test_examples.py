"""The examples run as a learner runs them, check their results, and are written in one form.

Each runs in a process of its own, in an empty folder, without a network, on the embedded digits.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from processes import run_python
from selection import slow_except

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FOUND = {path.stem: path.read_text() for path in sorted(EXAMPLES.glob("*.py"))}

#: Name of an example -> a fault in it, as (text, its replacement), that its checks must find.
FAULTS = {
    "activations": ("y * (1 - y)", "y * (1 + y)"),
    "chain_rule": ("f = q * z", "f = q * z * 1.001"),
    "conv_by_hand": ("(W - F_ + 2 * P) // S + 1", "(W - F_ + P) // S + 1"),
    "dead_relu": ("nn.LeakyReLU(0.1)", "nn.ReLU()"),
    "feed_forward": ("learning_rate=1e-3", "learning_rate=1e-6"),
    "graph_basics": ("d = b + 5", "d = b + 6"),
    "graph_trig": ("w4 = F.sin(w2)", "w4 = F.sin(w1)"),
    "image_as_array": ("digit[0] // 2", "digit[0]"),
    "initialisation": ('"too large": 3.0', '"too large": 0.5'),
    "keras_style_mlp": ("Dense(512, ", "Dense(511, "),
    "learning_rate": ('"too large": 0.54', '"too large": 0.49'),
    "lenet_mnist": ('"digits": (137, 20)', '"digits": (137, 1)'),
    "linear_by_hand": ("X.numpy() @ dE_dZ.T", "X.numpy() @ dE_dZ.T * 1.001"),
    "linear_regression": ("steps = 1000", "steps = 100"),
    "neuron": ("w = Tensor([1.0, 2.0])", "w = Tensor([1.0, 2.001])"),
    "sigmoid_cnn": ("dS_dC = S * (1 - S)", "dS_dC = S * (1 + S)"),
    "softmax_and_cross_entropy": ("S = np.array([0.1, 0.5, 0.4])", "S = np.array([0.1, 0.4, 0.5])"),
    "softmax_regression": ("learning_rate = 0.5", "learning_rate = 0.0005"),
    "why_convolution": ("(layer.kernel_size[0] - 1) * jump", "layer.kernel_size[0] * jump"),
}

WITH_SETTINGS = [name for name, text in FOUND.items() if "}[name]" in text]  # of a data set
WITH_GRAPHS = [name for name, text in FOUND.items() if "graph.save(" in text]
PICTURE = re.compile(r'"(pictures/[\w.]+)"')

#: Runs the script that is its argument, without a network.
RUN = """
import runpy, socket, sys

def refuse(*_):
    raise OSError("the examples need no network")

socket.socket.connect = socket.getaddrinfo = refuse
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def run(script: Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    variables = {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "error", **variables}
    return run_python(RUN, str(script), cwd=folder, **variables)


def check_output(result: subprocess.CompletedProcess[str]) -> None:
    """It ran to its end, and what it printed does not wrap in a terminal of 80 columns."""
    assert result.returncode == 0, result.stderr
    assert result.stdout, "it prints nothing"
    assert [line for line in result.stdout.splitlines() if len(line) > 80] == []


def can_draw(picture: Path) -> bool:
    """Whether what draws it is installed: Graphviz and its package, for SVG."""
    graphviz = shutil.which("dot") and importlib.util.find_spec("graphviz")
    return picture.suffix != ".svg" or bool(graphviz)


def check_picture(picture: Path) -> None:
    """It is not empty, and its background is white, so that it is legible on a dark page, too."""
    if picture.suffix == ".svg":
        svg = "{http://www.w3.org/2000/svg}"
        root = ET.fromstring(picture.read_text())
        background = root.find(f".//{svg}polygon")
        assert background is not None, picture
        assert background.get("fill") == "white", picture
        assert len(list(root.iter(f"{svg}text"))) > 2, picture
    else:
        image = pytest.importorskip("PIL.Image", reason="the extra `image` is not installed")
        pixels = image.open(picture).convert("RGBA")
        assert pixels.getpixel((0, 0)) == (255, 255, 255, 255), picture
        darkest, brightest = pixels.convert("L").getextrema()
        assert brightest - darkest > 100, picture


@pytest.mark.parametrize("name", slow_except(FOUND, "neuron", "chain_rule"))
def test_it_runs(name: str, tmp_path: Path) -> None:
    check_output(run(EXAMPLES / f"{name}.py", tmp_path))
    for picture in map(tmp_path.joinpath, PICTURE.findall(FOUND[name])):
        if can_draw(picture):
            check_picture(picture)
    made = list((tmp_path / "pictures").glob("*"))
    assert all(f"pictures/{path.name}" in FOUND[name] for path in made), made


@pytest.mark.parametrize("name", slow_except(WITH_GRAPHS, "chain_rule"))
def test_it_runs_without_graphviz(name: str, tmp_path: Path) -> None:
    result = run(EXAMPLES / f"{name}.py", tmp_path, PATH="")
    check_output(result)
    assert "Graphviz" in result.stdout or "graphviz" in result.stdout


@pytest.mark.parametrize(
    ("name", "given"),
    [("feed_forward", "fashion-mnist"), ("feed_forward", ""), ("feed_forward", "images/")]
    + [
        pytest.param(name, "fashion-mnist", marks=pytest.mark.slow)
        for name in WITH_SETTINGS
        if name != "feed_forward"
    ],
)
def test_other_data_are_refused(name: str, given: str, tmp_path: Path) -> None:
    result = run(EXAMPLES / f"{name}.py", tmp_path, GPUCNN_DATA=given)
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert last == f"AssertionError: GPUCNN_DATA is {given!r}: write digits or mnist"


@pytest.mark.parametrize("name", slow_except(FAULTS, "neuron"))
def test_its_checks_find_a_fault(name: str, tmp_path: Path) -> None:
    right, wrong = FAULTS[name]
    assert FOUND[name].count(right) == 1, f"the fault does not fit: {right}"
    script = tmp_path / f"{name}.py"
    script.write_text(FOUND[name].replace(right, wrong))
    result = run(script, tmp_path)
    assert result.returncode != 0
    assert "AssertionError: " in result.stderr


def test_every_example_has_a_fault() -> None:
    assert sorted(FAULTS) == sorted(FOUND)


def cells(text: str) -> list[tuple[bool, list[str]]]:
    """The cells of a script in percent format: whether it is text, and its lines."""
    parts = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    assert not parts[0].strip(), "there is something before the first cell"
    markers, bodies = parts[1::2], parts[2::2]
    assert set(markers) <= {"", " [markdown]"}, markers
    return [
        (bool(marker), [line for line in body.splitlines() if line.strip()])
        for marker, body in zip(markers, bodies, strict=True)
    ]


@pytest.mark.parametrize("name", FOUND)
def test_it_is_in_percent_format(name: str) -> None:
    found = cells(FOUND[name])
    assert found[0][0], "the first cell is not text"
    assert re.match(r"# # \w", found[0][1][0]), "the first cell has no title"
    code = 0
    for is_text, lines in found:
        assert lines, "a cell is empty"
        if is_text:
            assert all(re.match(r"#($| )", line) for line in lines), lines
        else:
            code += sum(not line.lstrip().startswith("#") for line in lines)
    assert code <= 60, "it is too long for a lesson"
    assert not found[-1][0], "it does not end in checks"
    assert any(line.lstrip().startswith("assert ") for line in found[-1][1])


@pytest.mark.parametrize("name", FOUND)
def test_each_check_says_what_is_wrong(name: str) -> None:
    checks = [node for node in ast.walk(ast.parse(FOUND[name])) if isinstance(node, ast.Assert)]
    assert checks
    assert [ast.unparse(check) for check in checks if check.msg is None] == []
