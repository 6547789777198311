"""Imports flow one way, and nothing is imported that is not in the list."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A unit may import what stands after its arrow, and itself. Modules in one unit share a line.
FLOOR = {
    "errors", "extras", "files", "printing", "quoting", "shapes", "random", "spelling",
    "tensor_files", "writing",
}  # fmt: skip
GRAPH = FLOOR | {
    "backend", "interchange", "operands", "ops", "recording", "array_operators", "array_methods",
    "autograd", "graph",
}  # fmt: skip
NETS = GRAPH | {"functions", "nn"}
ALLOWED: dict[str, set[str]] = {
    "quoting": set(),
    "files": {"errors", "quoting"},
    "tensor_files": {"files", "quoting"},
    "errors": {"quoting"},
    "writing": {"errors"},
    "extras": {"errors"},
    "foreign": set(),
    "kernels": set(),
    "shapes": {"errors"},
    "printing": set(),
    "spelling": {"errors", "printing"},
    "random": {"errors", "spelling"},
    "backend": FLOOR | {"kernels"},
    "interchange": FLOOR | {"backend"},
    "operands": FLOOR | {"backend"},
    "recording": FLOOR,
    "ops": FLOOR | {"backend", "interchange", "operands"},
    # The operators and methods of a Tensor, its bases; functions: for the operators, see below.
    "array_operators": FLOOR | {"recording", "autograd", "functions"},
    "array_methods": FLOOR | {"backend", "recording", "array_operators", "autograd"},
    "autograd": FLOOR
    | {"backend", "interchange", "array_methods", "operands", "recording", "graph"},
    "graph": FLOOR | {"autograd"},  # for type checkers; a Tensor imports it late
    "functions": GRAPH - {"ops"},
    "nn": GRAPH | {"functions"},
    "models": NETS,
    "schedules": FLOOR,
    "parameters": NETS,
    "optim": NETS | {"schedules", "parameters", "foreign"},
    "plots": {"errors", "extras", "quoting", "shapes", "backend", "recording"},
    "data": FLOOR | {"backend", "plots"},
    "training": NETS | {"models", "parameters", "optim", "schedules", "data", "__init__"},
    "keras": NETS | {"models", "optim", "schedules", "data", "training", "__init__"},
    "web": {"errors"},
    "onnx": NETS | {"data", "training", "__init__"},
    "explain": NETS | {"optim", "web"},
    "inspection": NETS | {"data", "optim", "training", "keras", "plots"},
    "serving": NETS | {"data", "training", "web", "__init__"},
    "bench": NETS
    | {"models", "optim", "schedules", "data", "training", "plots", "inspection", "__init__"},
    "reports": NETS | {"models", "data", "training", "inspection", "plots", "web", "__init__"},
}
EVERYTHING = set(ALLOWED) | {"__init__"}
ALLOWED |= {"cli": EVERYTHING, "__main__": {"cli"}, "__init__": EVERYTHING - {"__init__"}}

THIRD_PARTY = {
    "click": {"cli"},
    "cuda": {"backend"},  # cuda-pathfinder, which CuPy brings
    "cupy": {"backend"},
    "filelock": {"writing"},
    "graphviz": {"graph"},
    "llvmlite": {"backend"},  # which Numba brings
    "matplotlib": {"plots", "bench"},
    "numba": {"backend"},
    "numpy": EVERYTHING - {"errors", "shapes", "kernels", "web", "__init__"} | {"cli"},
    "onnx": {"onnx"},
    "onnxruntime": {"onnx"},
    "PIL": {"data", "plots", "serving", "cli"},
    "platformdirs": {"backend", "data"},
    "python_multipart": {"serving"},
    "requests": {"data"},
    "rich": {"cli"},
    "safetensors": {"tensor_files", "training"},
    "starlette": {"serving"},
    "tensorboardX": {"training"},
    "threadpoolctl": {"backend"},
    "tomli_w": {"training", "cli"},
    "uvicorn": {"serving"},
    "torch": {"bench"},  # what is set beside ours, where it is installed
}


def sources() -> Iterator[tuple[str, Path]]:
    """Every module's dotted name below gpucnn, and its file; cli/ is gpucnn.cli."""
    for folder, package in (
        (ROOT / "gpucnn", ""),
        (ROOT / "cli", "cli."),
        (ROOT / "kernels", "kernels."),
    ):
        for file in sorted(folder.rglob("*.py")):
            parts = list(file.relative_to(folder).with_suffix("").parts)
            if parts[-1] == "__init__" and (len(parts) > 1 or package):
                parts.pop()
            yield (package + ".".join(parts)).rstrip("."), file


MODULES = dict(sources())


class WithoutTypes(ast.NodeTransformer):
    """Drops the statements that only type checkers read."""

    def visit_If(self, node: ast.If) -> Any:
        if "TYPE_CHECKING" in ast.unparse(node.test) and "not" not in ast.unparse(node.test):
            return node.orelse
        return self.generic_visit(node)


@functools.cache
def parsed(file: Path, types: bool = True) -> ast.Module:
    """The syntax tree; without types, without what only type checkers read."""
    tree = ast.parse(file.read_text())
    return tree if types else WithoutTypes().visit(tree)


def imports(module: str, file: Path, types: bool = True) -> Iterator[tuple[str, int, bool]]:
    """(full name, line, whether it runs when the module is imported) of every import.

    Args:
        types: whether to list also what only type checkers import.
    """
    tree = parsed(file, types)
    top_level = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        top_level.add(node)
        pending.extend(ast.iter_child_nodes(node))
    package = ["gpucnn", *module.split(".")]
    if file.name != "__init__.py":
        package.pop()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{origin}.{alias.name}" for alias in node.names]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
            and isinstance(node.args[0], ast.Constant)
        ):
            names = [str(node.args[0].value)]
        for name in names:
            yield name, getattr(node, "lineno", 0), node in top_level


def unit(name: str) -> str | None:
    """The unit of a full name inside gpucnn: gpucnn.backend.cpu -> backend."""
    first, _, rest = name.partition(".")
    if first != "gpucnn":
        return None
    head = rest.partition(".")[0]
    return head if head in ALLOWED or head == "kernels" else "__init__"


OPTIONAL = {
    "cuda", "cupy", "graphviz", "matplotlib", "onnx", "onnxruntime", "PIL", "tensorboardX", "torch"
}  # fmt: skip
PACKAGES = sorted({module.partition(".")[0] for module in MODULES})


def modules_of(package: str) -> dict[str, Path]:
    """The modules of a package, or the one of that name."""
    return {name: file for name, file in MODULES.items() if name.partition(".")[0] == package}


every_package = pytest.mark.parametrize("package", PACKAGES)


def test_there_is_something_to_look_at():
    assert {"errors", "shapes", "random", "ops", "autograd", "__init__"} <= set(MODULES)
    assert {"backend.contract", "backend.cpu", "functions.arithmetic"} <= set(MODULES)


@every_package
def test_imports_flow_one_way(package):
    for module, file in modules_of(package).items():
        own = module.partition(".")[0]
        assert own in ALLOWED, f"{module} has no place in the order of the layers"
        wrong = [
            f"line {line}: {name}"
            for name, line, _ in imports(module, file)
            if (target := unit(name)) is not None and target not in ALLOWED[own] | {own}
        ]
        assert not wrong, f"{module} may import {sorted(ALLOWED[own])} only"


def in_circles(edges: dict[str, set[str]]) -> set[str]:
    """The nodes of a graph that can be reached from themselves."""
    found = set()
    for start in edges:
        reached: set[str] = set()
        pending = [*edges[start]]
        while pending:
            node = pending.pop()
            if node not in reached:
                reached.add(node)
                pending += edges[node]
        if start in reached:
            found.add(start)
    return found


def module_of(name: str) -> str:
    """The module that a full name is of: gpucnn.nn.module.Module -> nn.module."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts)


def test_circles_are_found():
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": set(), "f": {"a"}}
    assert in_circles(edges) == {"a", "b", "c"}
    assert module_of("gpucnn.nn.module.Module") == "nn.module"


@every_package
def test_modules_of_a_package_import_each_other_one_way(package):
    """Imports inside functions count, those for type checkers do not."""
    modules = modules_of(package)
    edges = {
        module: {
            target
            for name, _, _ in imports(module, file, types=False)
            if name.startswith("gpucnn.") and (target := module_of(name)) in modules
        }
        - {module}
        for module, file in modules.items()
    }
    assert any(edges.values()) or len(modules) < 3
    assert not in_circles(edges)


def test_a_tensor_knows_the_functions_late_and_in_one_place():
    """The one arrow back: a Tensor's operators are functions; never when autograd is imported."""
    found = [
        at_top
        for module in ("array_operators", "array_methods", "autograd")
        for name, _, at_top in imports(module, MODULES[module])
        if unit(name) == "functions"
    ]
    assert found == [False]


def test_the_methods_of_a_tensor_know_it_only_for_type_checkers():
    found = [
        at_top
        for name, _, at_top in imports("array_operators", MODULES["array_operators"])
        if unit(name) == "autograd"
    ]
    assert found
    assert not any(found)


@every_package
def test_third_party_packages_are_in_the_list(package):
    for module, file in modules_of(package).items():
        own = module.partition(".")[0]
        for name, line, _ in imports(module, file):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top == "gpucnn":
                continue
            where = f"{module}, line {line}: {name}"
            assert top in THIRD_PARTY, f"{where} is not a dependency"
            assert own in THIRD_PARTY[top], f"{where} does not belong there"


@every_package
def test_optional_packages_are_imported_late(package):
    for module, file in modules_of(package).items():
        if module == "bench.data.torch_train":  # a program by itself, of PyTorch alone
            continue
        if module == "plots.picture":  # a class of Matplotlib's; it is imported late itself
            continue
        early = {name for name, _, at_top in imports(module, file) if at_top}
        assert not {name.partition(".")[0] for name in early} & OPTIONAL, module


@every_package
def test_nothing_is_pickled(package):
    for module, file in modules_of(package).items():
        named = {name.partition(".")[0] for name, _, _ in imports(module, file)}
        assert not named & {"pickle", "shelve", "marshal", "dill", "joblib"}, module
        assert "allow_pickle=True" not in file.read_text(), module


@every_package
def test_only_one_module_and_the_simulator_read_kernels(package):
    for module, file in modules_of(package).items():
        if module == "backend.cuda.sources" or module.startswith("backend.simulator"):
            continue
        constants = [
            node.value
            for node in ast.walk(parsed(file))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        docstrings = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(parsed(file))
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        }
        for text in set(constants) - docstrings:
            assert not text.endswith((".cu", ".cuh")), f"{module} names {text!r}"
            assert "gpucnn.kernels" not in text, f"{module} names {text!r}"
        kernels = [name for name, _, _ in imports(module, file) if unit(name) == "kernels"]
        assert not kernels, f"{module} imports {kernels}"


# What a wing of the backends may import, beside itself and the files next to the wings.
WINGS = {
    "contract": set(),
    "cpu": {"contract"},
    "numba": {"contract", "cpu"},
    "cuda": {"contract"},
    "simulator": {"contract", "cuda"},
}
BESIDE = {"cache_directory", "problem"}


@pytest.mark.parametrize(
    ("module", "file"), [case for case in modules_of("backend").items() if "." in case[0]]
)
def test_a_wing_knows_no_other_but_those_below_it(module, file):
    own = module.split(".")[1]
    known = {
        name.split(".")[2]
        for name, _, _ in imports(module, file)
        if name.startswith("gpucnn.backend.")
    }
    assert known <= BESIDE | WINGS.get(own, set()) | {own}


def test_a_backend_never_sees_a_tensor():
    for module, file in modules_of("backend").items():
        names = {n.id for n in ast.walk(parsed(file)) if isinstance(n, ast.Name)}
        assert "Tensor" not in names, module


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after a statement."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.split())


HEAVY = {
    "graphviz",
    "matplotlib",
    "torch",
    "numpy",
    "cupy",
    "rich",
    "click",
    "safetensors",
    "requests",
    "PIL",
    "threadpoolctl",
}


def test_importing_the_package_loads_nothing():
    loaded = loaded_by("import gpucnn")
    assert "gpucnn" in loaded
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("gpucnn.")} == set()


@pytest.mark.parametrize("module", ["errors", "shapes"])
def test_the_floor_needs_no_numpy(module):
    assert not loaded_by(f"import gpucnn.{module}") & HEAVY


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("random", {"backend", "autograd", "functions", "nn"}),
        ("backend", {"ops", "autograd", "functions", "nn", "data", "training", "cli"}),
        ("ops", {"autograd", "functions", "nn", "data", "training", "cli"}),
        ("autograd", {"functions", "graph", "nn", "optim", "data", "training", "cli"}),
        ("graph", {"backend", "autograd", "functions", "nn", "training", "cli"}),
        ("functions", {"nn", "models", "optim", "data", "training", "keras", "cli"}),
        ("plots", {"autograd", "nn", "data", "bench", "cli"}),
        ("data", {"plots", "autograd", "nn", "cli"}),
        ("bench", {"cli", "keras", "plots"}),
    ],
)
def test_a_layer_loads_nothing_above_it(module, absent):
    loaded = loaded_by(f"import gpucnn.{module}")
    assert f"gpucnn.{module}" in loaded
    assert not {name for name in loaded for a in absent if name.startswith(f"gpucnn.{a}")}
    assert not loaded & {
        "graphviz",
        "matplotlib",
        "torch",
        "cupy",
        "rich",
        "click",
        "PIL",
        "requests",
        "safetensors",
    }
