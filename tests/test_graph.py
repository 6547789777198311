"""Pictures of graphs: their contents, as DOT, files and in a notebook, and what may be missing."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from gpucnn import Tensor, no_grad
from gpucnn import functions as F
from gpucnn.errors import GpucnnError, GraphError, MissingExtraError, StorageError, UsageError
from gpucnn.graph import Graph, Node

is_installed = importlib.util.find_spec("graphviz") is not None
needs_package = pytest.mark.skipif(not is_installed, reason="the extra `graph` is not installed")
needs_dot = pytest.mark.skipif(
    not is_installed or shutil.which("dot") is None, reason="Graphviz is not installed"
)


@pytest.fixture
def leaf(backend):
    def make(values, name=None, requires_grad=True, dtype=np.float64):
        return Tensor(backend.asarray(np.array(values, dtype=dtype)), requires_grad, name)

    return make


def parts(dot):
    """The nodes and the edges of a graph in DOT: (title, ...) -> attributes, and label texts."""
    nodes, edges = {}, []
    for line in dot.splitlines():
        text = re.search(r"label=<(.*)>\]", line)
        lines = () if text is None else re.sub(r"</?font[^>]*>", "", text[1]).split("<br/>")
        lines = tuple(line.replace("&#160;", " ") for line in lines)
        if edge := re.match(r"  (\w+) -> (\w+)", line):
            edges.append((edge[1], edge[2], lines))
        elif node := re.match(r"  (\w+) \[shape=(\w+)(, style=\w+)?", line):
            nodes[node[1]] = (node[2], node[3] == ", style=dashed", lines)
    return nodes, edges


def titled(dot):
    """Edges by the titles of their ends: (from, to) -> label."""
    nodes, edges = parts(dot)
    return {(nodes[a][2][0], nodes[b][2][0]): lines for a, b, lines in edges}


@pytest.mark.parametrize(("z", "sign"), [(-4.0, -1), (4.0, 1)])
def test_the_chain_rule_with_values_and_gradients_on_every_edge(leaf, z, sign):
    x, y, z = leaf(-2.0, "x"), leaf(5.0, "y"), leaf(z, "z")
    q = x + y
    q.name = "q"
    f = q * z
    f.name = "f"
    graph = f.graph()
    assert titled(graph.to_dot()) == {
        ("x", "Add"): ("value -2",),
        ("y", "Add"): ("value 5",),
        ("Add", "Mul"): ("q", "value 3"),
        ("z", "Mul"): (f"value {4 * sign}",),
        ("Mul", "f"): (f"value {12 * sign}",),
    }
    f.backward()
    assert titled(graph.to_dot()) == {
        ("x", "Add"): ("value -2", f"grad {4 * sign}"),
        ("y", "Add"): ("value 5", f"grad {4 * sign}"),
        ("Add", "Mul"): ("q", "value 3", f"grad {4 * sign}"),
        ("z", "Mul"): (f"value {4 * sign}", "grad 3"),
        ("Mul", "f"): (f"value {12 * sign}", "grad 1"),
    }
    assert repr(graph) == "\n".join(
        [
            f"x              value -2  grad {4 * sign}",
            f"y              value 5  grad {4 * sign}",
            f"q = Add(x, y)  value 3  grad {4 * sign}",
            f"z              value {4 * sign}  grad 3",
            f"f = Mul(q, z)  value {12 * sign}  grad 1",
        ]
    )


def test_leaves_are_boxes_and_functions_ovals(leaf):
    x, w = leaf([[1.0, 2.0]], "x", requires_grad=False), leaf([[3.0], [4.0]])
    nodes, _ = parts((F.exp(x @ w).sum() - 5).graph().to_dot())
    assert sorted(nodes.values()) == [
        ("box", False, ("parameter", "(2, 1)")),
        ("box", False, ("result",)),
        ("box", True, ("constant",)),
        ("box", True, ("x", "(1, 2)")),
        ("oval", False, ("Exp",)),
        ("oval", False, ("MatMul",)),
        ("oval", False, ("Sub",)),
        ("oval", False, ("Sum",)),
    ]


def test_inputs_are_in_the_order_of_the_function(leaf):
    a, b = leaf(1.0, "a"), leaf(2.0, "b")
    assert repr((a - b).graph()).splitlines()[-1].startswith("t2 = Sub(a, b)")
    assert repr((b - a).graph()).splitlines()[-1].startswith("t2 = Sub(b, a)")
    nodes, edges = parts((b - a).graph().to_dot())
    assert [nodes[a][2][0] for a, _, _ in edges] == ["b", "a", "Sub"]


def test_a_tensor_with_two_uses_is_one_node_with_its_whole_gradient(leaf):
    x = leaf(3.0, "x")
    y = x * x + x
    graph = y.graph()
    y.backward()
    nodes, edges = parts(graph.to_dot())
    assert [node[2] for node in nodes.values()].count(("x",)) == 1
    assert [lines for a, _, lines in edges if nodes[a][2] == ("x",)] == [("value 3", "grad 7")] * 3


@pytest.mark.parametrize(
    ("values", "dtype", "text"),
    [
        (0.9525741268, np.float64, ("value 0.952574",)),
        (0.1, np.float32, ("value 0.1",)),
        ([], np.float32, ("value []",)),
        ([[1, 2], [3, 4]], np.float32, ("value [[1. 2.]", "       [3. 4.]]")),
        ([1.5, np.nan, -np.inf], np.float32, ("value [ 1.5  nan -inf]",)),
        (np.arange(4), np.float64, ("value [0. 1. 2. 3.]",)),
        (np.arange(5), np.float64, ("value 0 to 4",)),
        (
            np.ones((2, 2, 1)),
            np.float64,
            ("value [[[1.]", "        [1.]]", "       [[1.]", "        [1.]]]"),
        ),
        (np.ones((0, 5)), np.float64, ("value []",)),
        (np.ones((4, 2, 3)), np.float64, ("value 1 to 1",)),
        ([0, 1, 2, 3, np.nan], np.float32, ("value nan to nan",)),
        (np.arange(20).reshape(4, 5) / 7, np.float32, ("value 0 to 2.714",)),
    ],
)
def test_values_of_small_tensors_are_numbers_of_others_the_range(leaf, values, dtype, text):
    x = leaf(values, "x", dtype=dtype)
    assert titled((x * 1).graph().to_dot())["x", "Mul"] == text


def test_constants_of_other_types(leaf):
    labels = leaf([1], "labels", requires_grad=False, dtype=np.int64)
    edges = titled(F.softmax_cross_entropy(leaf([[1.0, 2.0]]), labels).graph().to_dot())
    assert edges["labels", "SoftmaxCrossEntropy"] == ("value [1]",)


def test_what_is_fused_into_a_function_is_drawn(leaf):
    x, w = leaf(np.ones((1, 1, 4, 4)), "x"), leaf(np.ones((1, 1, 3, 3)), "w")
    y = F.conv2d(x, w, activation="relu", pool=(2, 2, 0))
    assert y.creator.label == "Conv2d + ReLU + MaxPool2d"
    assert "Conv2d + ReLU + MaxPool2d(x, w)" in repr(y.graph())
    assert F.conv2d(x, w, activation="relu").creator.label == "Conv2d + ReLU"
    assert F.conv2d(x, w, pool=(2, 2, 0)).creator.label == "Conv2d + MaxPool2d"
    assert F.conv2d(x, w).creator.label == "Conv2d"
    rows = leaf([[1.0, 2.0]])
    assert F.linear(rows, rows.T, activation="relu").creator.label == "Linear + ReLU"
    assert F.linear(rows, rows.T).creator.label == "Linear"


NAMES = [
    'say "x"',
    "back\\slash",
    "ends in \\",
    "{a|b}",
    "<b>bold</b> & more",
    "a\nb\r\n\tc",
    "&amp;",
    "]; n0 -> n1 [label=<",
    "\x00\x1b[0m",
    "Gewicht_für_Öl",
    "\\N \\G \\n \\l",
    "-->",
    " ",
]


@needs_dot
@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_drawn_as_it_is(name):
    x, y = Tensor(1.0, True, name), Tensor(2.0, True, name)
    q = x * y
    q.name = name
    result = q + 1
    result.name = name
    tree = ElementTree.fromstring(result.graph().to_svg())
    texts = [text.text or "" for text in tree.iter() if text.tag.endswith("text")]
    texts = [text.replace("\xa0", " ").replace("\u200b", "") for text in texts]
    wanted = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    assert texts.count(wanted) == 4
    assert sorted(text for text in texts if text != wanted) == [
        "Add",
        "Mul",
        "constant",
        "value 1",
        "value 1",
        "value 2",
        "value 2",
        "value 3",
    ]


@pytest.mark.slow
def test_a_very_deep_graph(leaf):
    y = leaf(1.0, "x")
    for _ in range(10_000):
        y = y + 1
    graph = y.graph()
    y.backward()
    assert graph.to_dot().count("Add") == 10_000
    assert len(repr(graph).splitlines()) == 61
    assert repr(graph).endswith("\nand 19,941 more")


def test_the_graph_marks_what_it_shows_and_nothing_else(leaf):
    x = leaf(3.0)
    q = x * 2
    other = q + 1
    (q * 3).graph()
    assert q.retains_grad
    assert not other.retains_grad
    assert not x.retains_grad


@pytest.mark.parametrize("again", ["the same", "a new result"])
def test_a_graph_that_was_freed(leaf, again):
    x = leaf(3.0, "x")
    q = x * 2
    y = q + 1
    y.backward()
    with pytest.raises(GraphError, match="was freed") as caught:
        (y if again == "the same" else q * 3).graph()
    assert "call graph() before backward()" in caught.value.fix


def test_a_tensor_without_a_graph(leaf):
    with pytest.raises(GraphError, match="graph of a tensor that requires no gradient"):
        leaf(1.0, requires_grad=False).graph()
    with no_grad(), pytest.raises(GraphError, match="requires no gradient"):
        (leaf(1.0) * 2).graph()
    with pytest.raises(GraphError, match="graph of w, which was not computed"):
        leaf(1.0, "w").graph()


# --- files and notebooks --------------------------------------------------------------------


@pytest.fixture
def graph():
    x = Tensor([[1.0, 2.0]], requires_grad=True, name="x")
    return (x * x).sum().graph()


@needs_dot
@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x.svg", b"<?xml"),
        ("x.png", b"\x89PNG"),
        ("x.pdf", b"%PDF"),
        ("x.PNG", b"\x89PNG"),
        ("x.dot", b"digraph {"),
    ],
)
def test_save(graph, tmp_path, name, start):
    assert graph.save(tmp_path / name) is None
    assert (tmp_path / name).read_bytes().startswith(start)
    graph.save(str(tmp_path / name))


@pytest.mark.parametrize("name", ["x", "x.jpg", "x.svg.gz", ".svg"])
def test_save_under_another_name(graph, tmp_path, name):
    with pytest.raises(UsageError, match=re.escape(f"cannot be saved as {name}")) as caught:
        graph.save(tmp_path / name)
    assert ".svg" in caught.value.fix
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, 3, b"x.svg", ["x.svg"], open])
def test_save_under_no_path(graph, path):
    with pytest.raises(UsageError, match="the path is a ") as caught:
        graph.save(path)
    assert caught.value.fix == 'give a name, as in graph.save("graph.svg")'


def test_save_where_nothing_can_be_written(graph, tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        graph.save(tmp_path / "none" / "x.dot")


@needs_dot
def test_a_notebook_displays_the_picture(graph):
    bundle = graph._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(graph)
    tree = ElementTree.fromstring(bundle["image/svg+xml"])
    assert tree.tag.endswith("svg")
    image = ElementTree.fromstring(bundle["text/html"].removesuffix(">") + "/>")
    assert image.attrib["style"] == "max-width: 100%"  # so that a notebook cuts nothing off
    assert image.attrib["alt"].split() == bundle["text/plain"].split()
    background = next(e for e in tree.iter() if e.tag.endswith("polygon"))
    assert background.get("fill") == "white"


@needs_package
def test_without_the_program(graph, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="the program dot") as caught:
        graph.to_svg()
    assert "apt install graphviz" in caught.value.fix
    with pytest.raises(MissingExtraError):
        graph.save(tmp_path / "x.png")
    graph.save(tmp_path / "x.dot")
    bundle = graph._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert bundle["text/plain"].startswith(repr(graph))
    assert "There is no picture" in bundle["text/plain"]
    assert "apt install graphviz" in bundle["text/plain"]


def test_without_the_package(graph, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(MissingExtraError, match="the package graphviz") as caught:
        graph.to_svg()
    assert caught.value.fix == 'pip install "gpucnn[graph]"'
    graph.save(tmp_path / "x.dot")
    assert 'pip install "gpucnn[graph]"' in graph._repr_mimebundle_()["text/plain"]


@needs_package
def test_a_program_that_fails(graph, monkeypatch):
    def pipe(*_, **__):
        raise subprocess.CalledProcessError(1, "dot", stderr=b"out of memory\n")

    monkeypatch.setattr("graphviz.Source.pipe", pipe)
    with pytest.raises(GpucnnError, match="could not draw the graph") as caught:
        graph.to_svg()
    assert caught.value.cause == "out of memory"


def test_a_graph_of_nodes_without_numbers():
    graph = Graph(
        [Node("input", "input"), Node("a", "A", details=("detail",), sources=(0,))], "output"
    )
    assert repr(graph) == "input\na = A(input)  detail"
    _, edges = parts(graph.to_dot())
    assert edges == [("n0", "n1", ()), ("n1", "result", ())]
