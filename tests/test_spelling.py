"""Names and arguments of other libraries."""

from __future__ import annotations

import copy
import doctest
import importlib
import inspect
import pickle
import pydoc
import re
import sys
import types

import numpy as np
import pytest

from gpucnn.errors import SignatureError, UnknownImportError, UnknownNameError, UsageError
from gpucnn.spelling import Spellings, explain_attribute, explain_names, explained

# --- names of other libraries ---------------------------------------------------------------------


@pytest.fixture(params=["module", "package"])
def library(request, monkeypatch):
    """A module `library`, plain or a package, that knows `cross_entropy` from elsewhere."""
    module = types.ModuleType("library", "Its documentation.")
    module.relu = len
    if request.param == "package":
        module.__path__ = []
    monkeypatch.setitem(sys.modules, "library", module)
    explain_names("library", {"cross_entropy": "use softmax_cross_entropy"})
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


@pytest.mark.parametrize(
    "module",
    ["gpucnn.functions", "gpucnn.optim", "gpucnn.nn", "gpucnn.training", "gpucnn.keras"]
    + [f"gpucnn.keras.{name}" for name in ("callbacks", "layers", "losses", "metrics", "models")]
    + ["gpucnn.keras.optimizers", "gpucnn.keras.utils", "gpucnn.keras.datasets"],
)
def test_our_tables_name_what_there_is_not(module):
    """A name in a table that came to exist would never be shown."""
    there = importlib.import_module(module)
    table = inspect.getclosurevars(there.__getattr__).nonlocals["table"]
    assert table
    assert not set(table) & set(dir(there))
    for name, fix in table.items():
        with pytest.raises(UnknownNameError) as caught:
            getattr(there, name)
        assert caught.value.fix == fix
        with pytest.raises(UnknownImportError):
            exec(f"from {module} import {name}")


@pytest.mark.parametrize(
    ("module", "name", "ours"),
    [
        ("nn.utils", "clip_grad_norm_", "gpucnn.optim.clip_grad_norm"),
        ("nn.utils", "clip_grad_value_", "gpucnn.optim.clip_grad_norm"),
        ("nn.init", "kaiming_normal_", "gpucnn.nn.initializers"),
        ("nn.parallel", "DistributedDataParallel", "one device"),
        ("nn.modules", "Module", "gpucnn.nn"),
        ("optim.lr_scheduler", "StepLR", "gpucnn.schedules"),
    ],
)
def test_modules_of_pytorch_say_ours(module, name, ours):
    outer, _, inner = module.partition(".")
    with pytest.raises(UnknownImportError, match=f"gpucnn.{module} has no {name}") as imported:
        exec(f"from gpucnn.{module} import {name}")
    assert ours in imported.value.fix
    with pytest.raises(UnknownNameError, match=f"gpucnn.{outer} has no {inner}") as named:
        exec(f"import gpucnn\ngpucnn.{module}.{name}")
    assert ours in named.value.fix


def test_names_at_the_top_say_why_they_are_missing():
    import gpucnn
    from gpucnn.foreign import CAUSES, NAMES

    assert not set(NAMES) & set(dir(gpucnn))
    assert CAUSES.keys() == NAMES.keys()
    for name, fix in NAMES.items():
        assert not hasattr(gpucnn, name)
        with pytest.raises(UnknownNameError, match=f"gpucnn has no {name}") as caught:
            getattr(gpucnn, name)
        with pytest.raises(UnknownImportError, match=f"gpucnn has no {name}") as imported:
            exec(f"from gpucnn import {name}")
        for error in (caught.value, imported.value):
            assert (error.cause, error.fix) == (CAUSES[name], fix)


@pytest.mark.parametrize("name", ["foreign", "functions.foreign", "nn.foreign"])
def test_explanations_name_what_there_is(name):
    """Each `gpucnn.x.y` in them can be imported."""
    names = importlib.import_module(f"gpucnn.{name}").NAMES
    found = {path for fix in names.values() for path in re.findall(r"gpucnn(?:\.\w+)+", fix)}
    assert found
    for path in found:
        module, *rest = path.split(".")
        there = importlib.import_module(module)
        for part in rest:
            there = getattr(there, part)


def test_sequential_is_not_at_the_top():
    """Two classes have the name, so the package has neither."""
    import gpucnn

    for ask in (lambda: gpucnn.Sequential, lambda: gpucnn.__getattr__("Sequential")):
        with pytest.raises(UnknownNameError, match="gpucnn has no Sequential") as caught:
            ask()
        assert caught.value.cause == "two classes have this name"
        for word in ("gpucnn.keras.Sequential", "compile", "gpucnn.nn.Sequential", "structure"):
            assert word in caught.value.fix
    with pytest.raises(UnknownImportError, match="gpucnn has no Sequential") as caught:
        exec("from gpucnn import Sequential")
    assert "gpucnn.keras.Sequential" in caught.value.fix
    assert not hasattr(gpucnn, "Sequential")
    assert "Sequential" not in dir(gpucnn)
    with pytest.raises(AttributeError, match="module 'gpucnn' has no attribute 'sequential'"):
        gpucnn.sequential  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'sequential' from 'gpucnn'"):
        exec("from gpucnn import sequential")


# --- arguments of other libraries -----------------------------------------------------------------


class Layer:
    """With a constructor that people call as elsewhere."""

    @explained(
        Spellings(
            renamed={"epsilon": ("eps",)},
            instead={"bias": "it has none"},
            signatures={"Layer": {"Theirs": "inputs units epsilon"}},
        )
    )
    def __init__(self, units: int, *, eps: float = 1e-5) -> None:
        """Build it."""
        if eps < 0:
            raise TypeError("from inside")
        self.units = units


@pytest.mark.parametrize(
    ("args", "kwargs", "cause"),
    [
        ((3,), {"espilon": 0.1}, "there is no espilon"),
        ((3,), {"unit": 0.1}, "there is no unit: did you mean units?"),
        ((3,), {"bias": False}, "there is no bias: it has none"),
        ((3, 0.1, 2, 7), {}, "it takes 1 argument by position, the others by name"),
        ((), {}, "units is missing"),
        ((3,), {"units": 3, "bias": 0}, "there is no bias: it has none; units is given twice"),
    ],
)
def test_a_call_that_does_not_fit_shows_the_signature(args, kwargs, cause):
    with pytest.raises(SignatureError, match=r"^Layer\(.* does not match ") as caught:
        Layer(*args, **kwargs)
    assert caught.value.message.endswith(" does not match Layer(units, *, eps)")
    assert caught.value.cause == cause
    assert caught.value.fix == "give Layer the arguments shown"
    assert isinstance(caught.value, UsageError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("args", "kwargs", "ours"),
    [
        ((), {"units": 3, "epsilon": 0.1}, "Layer(3, eps=0.1)"),
        ((3, 4, 0.2), {}, "Layer(4, eps=0.2)"),
    ],
)
def test_a_call_of_another_library_is_translated(args, kwargs, ours):
    with pytest.raises(SignatureError) as caught:
        Layer(*args, **kwargs)
    assert caught.value.fix == f"write {ours}"
    assert caught.value.cause.startswith("Theirs(")


def test_arguments_are_shown_on_one_line():
    with pytest.raises(SignatureError) as caught:
        Layer({"a": np.zeros((20, 30)), "b": np.float32(2)}, what=object())
    assert caught.value.message.startswith("Layer({'a': ndarray(20, 30), 'b': ")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 150


def test_a_call_that_fits_is_as_without():
    assert Layer(3, eps=0.1).units == 3
    with pytest.raises(TypeError, match="from inside") as caught:
        Layer(3, eps=-1)
    assert not isinstance(caught.value, UsageError)
    assert list(inspect.signature(Layer).parameters) == ["units", "eps"]
    assert inspect.getdoc(Layer.__init__) == "Build it."


class Older:
    """With a method that has older names, and defaults that change nothing."""

    @explained(
        Spellings(
            older={"nb": "count", "deep": "depth"},
            defaults={"scale": (1, None), "flag": (True,), "mode": ("auto",)},
            instead={"scale": "it is 1"},
        )
    )
    def make(self, count, size=2, *, extra=0):
        if count == "wrong":
            raise TypeError("from inside")
        return count, size, extra


@pytest.mark.parametrize(
    ("args", "kwargs", "found"),
    [
        ((), {"nb": 3}, (3, 2, 0)),
        ((), {"size": 4, "nb": 3, "extra": 5}, (3, 4, 5)),
        ((3,), {"scale": 1}, (3, 2, 0)),
        ((3,), {"scale": 1.0, "flag": True, "mode": "auto"}, (3, 2, 0)),
        ((3, 4), {"scale": None, "extra": 1}, (3, 4, 1)),
    ],
)
def test_an_older_name_and_a_default_are_taken(args, kwargs, found):
    given = dict(kwargs)
    assert Older().make(*args, **given) == found
    assert given == kwargs


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((3,), {"nb": 3}, "make is given count and nb"),
        ((), {"nb": 3, "count": 3}, "leave nb out"),
        ((3,), {"scale": 2}, "there is no scale: it is 1"),
        ((3,), {"scale": True}, "there is no scale"),
        ((3,), {"scale": np.ones(1)}, "there is no scale"),
        ((3,), {"flag": 1}, "there is no flag"),
        ((3,), {"mode": None}, "there is no mode"),
        ((3,), {"deep": 1}, "there is no deep"),
        ((), {"scale": 1}, "count is missing"),
    ],
)
def test_other_values_and_both_names_are_an_error(args, kwargs, words):
    with pytest.raises(SignatureError) as caught:
        Older().make(*args, **kwargs)
    assert words in str(caught.value)
    assert caught.value.__context__ is None


def test_an_error_from_inside_of_a_call_with_an_older_name_is_the_one_that_is_seen():
    with pytest.raises(TypeError, match="from inside") as caught:
        Older().make(nb="wrong")
    assert not isinstance(caught.value, UsageError)


# --- attributes of other libraries ----------------------------------------------------------------


class Own:
    def __getattr__(self, name):
        return explain_attribute(self, name, {"cuda": "use to", "own": "never shown"})

    @property
    def own(self):
        return self.misspelled

    @property
    def broken(self):
        return self.cuda


def test_an_attribute_of_another_library_says_ours():
    with pytest.raises(UnknownNameError, match="an Own has no cuda") as caught:
        Own().cuda  # noqa: B018
    assert caught.value.fix == "use to"
    assert not hasattr(Own(), "cuda")
    assert "cuda" not in dir(Own())


def test_python_s_own_answers_stay():
    with pytest.raises(AttributeError, match="'Own' object has no attribute 'cudda'") as caught:
        Own().cudda  # noqa: B018
    assert not isinstance(caught.value, UnknownNameError)
    for copied in (copy.copy, copy.deepcopy, lambda own: pickle.loads(pickle.dumps(own))):
        assert isinstance(copied(Own()), Own)


def test_an_error_inside_of_a_property_is_the_one_that_is_seen():
    with pytest.raises(AttributeError, match="'Own' object has no attribute 'misspelled'"):
        Own().own  # noqa: B018
    with pytest.raises(UnknownNameError, match="an Own has no cuda"):
        Own().broken  # noqa: B018
