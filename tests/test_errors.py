"""Choosing by name; names and arguments of other libraries."""

from __future__ import annotations

import copy
import doctest
import importlib
import inspect
import pickle
import pydoc
import sys
import types

import pytest

from gpucnn.errors import (
    SignatureError,
    UnknownImportError,
    UnknownNameError,
    UsageError,
    choose,
    foreign_arguments,
    foreign_names,
)

TABLE = {"lenet": 1, "cnn": 2}


def test_choose():
    assert choose(TABLE, "cnn", "model") == 2


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("lenett", "unknown model 'lenett'", "did you mean lenet? choose one of lenet, cnn"),
        ("vgg", "unknown model 'vgg'", "choose one of lenet, cnn"),
        ([3], "unknown model [3]", "choose one of lenet, cnn"),
    ],
)
def test_a_name_that_there_is_not(name, message, fix):
    with pytest.raises(UsageError) as caught:
        choose(TABLE, name, "model")
    assert (caught.value.message, caught.value.fix) == (message, fix)


def test_the_origin_of_the_name_is_told():
    with pytest.raises(UsageError, match=r"unknown model 'vgg' \(from --model\)"):
        choose(TABLE, "vgg", "model", " (from --model)")


# --- names of other libraries ---------------------------------------------------------------------


@pytest.fixture(params=["module", "package"])
def library(request, monkeypatch):
    """A module `library`, plain or a package, that knows `cross_entropy` from elsewhere."""
    module = types.ModuleType("library", "Its documentation.")
    module.relu = len
    module.__getattr__ = foreign_names("library", {"cross_entropy": "use softmax_cross_entropy"})
    if request.param == "package":
        module.__path__ = []
    monkeypatch.setitem(sys.modules, "library", module)
    return module


def test_a_foreign_attribute_says_ours(library):
    with pytest.raises(UnknownNameError, match="library has no cross_entropy") as caught:
        library.cross_entropy  # noqa: B018
    assert caught.value.fix == "use softmax_cross_entropy"
    assert isinstance(caught.value, AttributeError)


@pytest.mark.parametrize(
    "statement",
    [
        "from library import cross_entropy",
        "from library import relu, cross_entropy as loss",
        "def load():\n    from library import cross_entropy\nload()",
    ],
)
def test_a_foreign_import_says_ours(library, statement):
    with pytest.raises(UnknownImportError, match="library has no cross_entropy") as caught:
        exec(statement)
    assert caught.value.fix == "use softmax_cross_entropy"
    assert isinstance(caught.value, ImportError)


def test_the_name_does_not_exist_for_those_who_ask(library):
    assert not hasattr(library, "cross_entropy")
    assert getattr(library, "cross_entropy", None) is None
    assert "cross_entropy" not in dir(library)
    assert [name for name, _ in inspect.getmembers(library) if not name.startswith("_")] == ["relu"]


def test_a_name_that_nobody_has_gets_python_s_answer(library):
    with pytest.raises(AttributeError, match="module 'library' has no attribute 'rleu'") as caught:
        library.rleu  # noqa: B018
    assert not isinstance(caught.value, UnknownNameError)
    assert (caught.value.name, caught.value.obj) == ("rleu", library)  # for "did you mean"
    with pytest.raises(ImportError, match="cannot import name 'rleu' from 'library'"):
        exec("from library import rleu")


def test_what_python_asks_of_a_module_goes_on_working(library):
    assert hasattr(library, "__path__") == ("__path__" in vars(library))
    assert "Its documentation." in pydoc.plain(pydoc.render_doc(library))
    assert [test.examples for test in doctest.DocTestFinder().find(library)] == [[]]
    assert inspect.unwrap(library) is library
    assert copy.copy(types.SimpleNamespace(of=library)).of is library
    with pytest.raises(TypeError, match="cannot pickle 'module' object"):
        pickle.dumps(library)
    with pytest.raises(ImportError):
        importlib.import_module("library.cross_entropy")


@pytest.mark.parametrize("module", ["gpucnn.functions", "gpucnn.optim"])
def test_our_tables_name_what_there_is_not(module):
    """A name in a table that came to exist would never be shown."""
    there = importlib.import_module(module)
    table = inspect.getclosurevars(there.__getattr__).nonlocals["table"]
    assert len(table) > 5
    assert not set(table) & set(dir(there))
    for name, fix in table.items():
        with pytest.raises(UnknownNameError) as caught:
            getattr(there, name)
        assert caught.value.fix == fix
        with pytest.raises(UnknownImportError):
            exec(f"from {module} import {name}")


# --- arguments of other libraries -----------------------------------------------------------------


class Layer:
    """With a constructor that people call as elsewhere."""

    @foreign_arguments({"epsilon": "epsilon is eps here"})
    def __init__(self, units: int, *, eps: float = 1e-5) -> None:
        """Build it."""
        if eps < 0:
            raise TypeError("from inside")
        self.units = units


@pytest.mark.parametrize(
    ("args", "kwargs", "message", "hint"),
    [
        ((3,), {"epsilon": 0.1}, "unexpected keyword argument 'epsilon'", "epsilon is eps here; "),
        ((3,), {"spe": 0.1}, "unexpected keyword argument 'spe'", ""),
        ((3, 0.1), {}, "too many positional arguments", ""),
        ((), {}, "missing a required argument: 'units'", ""),
        ((3,), {"units": 3}, "multiple values for argument 'units'", ""),
    ],
)
def test_a_call_that_does_not_fit_shows_the_signature(args, kwargs, message, hint):
    with pytest.raises(SignatureError, match=message) as caught:
        Layer(*args, **kwargs)
    assert caught.value.message.startswith("Layer: ")
    assert caught.value.fix == f"{hint}write Layer(units, *, eps=1e-05)"
    assert isinstance(caught.value, UsageError)
    assert isinstance(caught.value, TypeError)


def test_a_call_that_fits_is_as_without():
    assert Layer(3, eps=0.1).units == 3
    with pytest.raises(TypeError, match="from inside") as caught:
        Layer(3, eps=-1)
    assert not isinstance(caught.value, UsageError)
    assert list(inspect.signature(Layer).parameters) == ["units", "eps"]
    assert inspect.getdoc(Layer.__init__) == "Build it."
