"""What pyproject.toml lists is what the tree holds."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from processes import run_python

import gpucnn

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
OUTSIDE = {"gpucnn.cli": "cli", "gpucnn.kernels": "kernels"}


def folder(package: str) -> Path:
    """The folder of a package, by the same rules as setuptools' package-dir."""
    directories = SETUPTOOLS["package-dir"]
    parts = package.split(".")
    for length in range(len(parts), 0, -1):
        head = ".".join(parts[:length])
        if head in directories:
            return ROOT.joinpath(directories[head], *parts[length:])
    raise AssertionError(f"{package} has no folder")


def test_the_packages_are_those_of_the_tree():
    found = {"gpucnn.cli", "gpucnn.kernels"}
    for top, package in ((ROOT / "gpucnn", "gpucnn"), (ROOT / "cli", "gpucnn.cli")):
        for init in top.rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(top).parts]))
    assert sorted(SETUPTOOLS["packages"]) == sorted(found)
    assert len(SETUPTOOLS["packages"]) == len(set(SETUPTOOLS["packages"]))


def test_every_listed_package_has_its_folder():
    for package in SETUPTOOLS["packages"]:
        assert folder(package).is_dir(), package


def test_every_module_lies_in_a_listed_package():
    listed = {folder(package) for package in SETUPTOOLS["packages"]}
    listed.add(ROOT / "gpucnn" / "bench" / "data")  # scripts that are package data
    modules = [f for top in ("gpucnn", "cli", "kernels") for f in (ROOT / top).rglob("*.py")]
    assert len(modules) > 10
    assert {m for m in modules if m.parent not in listed} == set()


def test_the_two_outside_packages_are_mapped():
    for package, name in OUTSIDE.items():
        assert SETUPTOOLS["package-dir"][package] == name


def files_beside_the_code() -> list[tuple[str, str]]:
    found = []
    for package in SETUPTOOLS["packages"]:
        for file in sorted(folder(package).iterdir()):
            if file.is_file() and file.suffix not in {".py", ".pyc"}:
                found.append((package, file.name))
    return found


@pytest.mark.parametrize(("package", "name"), files_beside_the_code())
def test_every_file_beside_the_code_is_packaged(package, name):
    patterns = SETUPTOOLS["package-data"].get(package, [])
    assert any(fnmatch(name, pattern) for pattern in patterns), f"{package}: {name}"


@pytest.mark.parametrize("name", ["conv2d.cu", "common.cuh", "README.md"])
def test_kernel_sources_are_packaged(name):
    assert any(fnmatch(name, pattern) for pattern in SETUPTOOLS["package-data"]["gpucnn.kernels"])


def test_the_data_of_the_benchmarks_are_packaged():
    found = (ROOT / "gpucnn" / "bench").glob(*SETUPTOOLS["package-data"]["gpucnn.bench"])
    assert {"torch_train.py", "introduction.md"} <= {file.name for file in found}


def test_the_digits_are_packaged_with_their_attribution():
    names = [file.name for file in (ROOT / "gpucnn" / "data").glob("digits*")]
    assert len([n for n in names if not n.endswith(".py")]) >= 2
    for name in PROJECT["project"]["license-files"]:
        assert (ROOT / name).is_file(), name


def test_the_version_is_one():
    version = PROJECT["project"].get("version")
    if version is None:
        assert "version" in PROJECT["project"]["dynamic"]
        assert SETUPTOOLS["dynamic"]["version"] == {"attr": "gpucnn.__version__"}
        version = gpucnn.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", version)
    assert gpucnn.__version__ == version
    assert version in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_is_used_and_every_import_declared():
    """By the names that are imported; that the imports are in a list is tested in layering."""
    declared = {
        re.split(r"[<>=!~\[ ]", requirement)[0]
        for requirement in PROJECT["project"]["dependencies"]
    }
    used = set()
    text = "\n".join(
        file.read_text() for top in ("gpucnn", "cli") for file in (ROOT / top).rglob("*.py")
    )
    for name in declared:
        module = name.replace("-", "_")
        if re.search(rf"^\s*(import|from) {module}\b", text, re.MULTILINE):
            used.add(name)
    assert used == declared


def test_the_extras_are_the_promised_ones():
    assert {"cuda12", "cuda13", "graph", "image", "plot", "test", "dev"} <= set(
        PROJECT["project"]["optional-dependencies"]
    )


def test_the_entry_point_exists():
    module, _, function = PROJECT["project"]["scripts"]["gpucnn"].partition(":")
    code = f"import {module} as m; assert callable(m.{function}); print(m.__name__)"
    assert run_python(code).stdout.strip() == module


def test_nothing_lands_at_the_top_of_site_packages():
    assert all(p == "gpucnn" or p.startswith("gpucnn.") for p in SETUPTOOLS["packages"])


def test_public_names_of_the_package_exist():
    for name in gpucnn.__all__:
        assert getattr(gpucnn, name) is not None
    with pytest.raises(AttributeError):
        gpucnn.no_such_name  # noqa: B018
