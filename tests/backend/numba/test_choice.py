"""When kernels are compiled and when not, and where compiled ones are kept."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import python_path, run_python
from selection import slow_except

from gpucnn.backend.cache_directory import is_whole, write

pytest.importorskip("numba", reason="the extra `fast` is not installed")

ROOT = Path(__file__).parents[3]
WHAT = """
import json, sys, gpucnn.backend as backend
from gpucnn.backend.numba.diagnosis import numba_problem
kernels = backend.get("cpu").describe()["kernels"]
print(json.dumps([kernels, (numba_problem() or [None])[0], "numba" in sys.modules]))
"""
COMPUTE = """
import json, numpy as np, gpucnn.backend
from gpucnn.backend.numba import activation
gradient = gpucnn.backend.get("cpu").relu_backward(np.ones(3, "float32"), np.ones(3, "float32"))
assert gradient.tolist() == [1, 1, 1]
print(json.dumps(sum(activation._mask_positive.stats.cache_hits.values())))
"""
PREPARE = """
import json, numpy as np, gpucnn.backend
cpu = gpucnn.backend.get("cpu")
said = [cpu.preparation()]
cpu.relu_backward(np.ones(3, "float32"), np.ones(3, "float32"))
print(json.dumps([*said, cpu.preparation()]))
"""
# No folder can be written, as Numba sees it.
NOWHERE = """
import numba.core.caching as caching
def refuse(self): raise OSError("read-only")
for kind in list(vars(caching).values()):
    if hasattr(kind, "ensure_cache_path"): kind.ensure_cache_path = refuse
"""


def run(code: str, **environment: Any) -> Any:
    done = run_python(code, cwd=ROOT / "tests", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_numba_is_used_where_it_is():
    kernels, problem, _ = run(WHAT)
    assert kernels.startswith("numba ")
    assert problem is None


@pytest.mark.slow
def test_the_first_time_is_told_from_the_others(tmp_path):
    before, after = run(PREPARE, GPUCNN_CACHE_DIR=str(tmp_path))
    assert before.startswith("compiling the kernels")
    assert after is None
    assert run(PREPARE, GPUCNN_CACHE_DIR=str(tmp_path)) == [None, None]
    assert run(PREPARE, GPUCNN_NUMBA="0") == [None, None]


def test_numba_can_be_declined():
    assert run(WHAT, GPUCNN_NUMBA="0") == ["numpy", "GPUCNN_NUMBA is 0", False]
    assert run(WHAT, GPUCNN_NUMBA="1")[0].startswith("numba ")


def test_numba_that_cannot_be_imported_is_done_without(tmp_path):
    broken = tmp_path / "numba"
    broken.mkdir()
    (broken / "__init__.py").write_text('raise ImportError("Numba needs an older NumPy")')
    path = python_path(tmp_path, ROOT)
    assert run(WHAT, PYTHONPATH=path) == ["numpy", "Numba needs an older NumPy", False]


def test_numba_is_not_imported_before_it_is_needed():
    code = "import json, sys, gpucnn.nn, gpucnn.ops; print(json.dumps('numba' in sys.modules))"
    assert run(code) is False


def test_kernels_are_compiled_once_on_a_machine(tmp_path):
    assert run(COMPUTE, GPUCNN_CACHE_DIR=str(tmp_path)) == 0
    assert run(COMPUTE, GPUCNN_CACHE_DIR=str(tmp_path)) == 1


FLIPPED, CUT, DIRECTORY = "a flipped bit", "cut short", "a directory"


@pytest.mark.parametrize("how", slow_except([FLIPPED, CUT, DIRECTORY], FLIPPED))
@pytest.mark.parametrize("suffix", slow_except(["nbi", "nbc"], "nbc"))
def test_a_damaged_file_is_compiled_again(tmp_path, kept, suffix, how):
    shutil.copytree(kept, tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob(f"*_mask_positive*.{suffix}")
    content = bytearray(file.read_bytes())
    if how == DIRECTORY:
        file.unlink()
        (file / "inner").mkdir(parents=True)
    else:
        content[len(content) // 2] ^= 4
        file.write_bytes(content if how == FLIPPED else content[:-99])
    assert run(COMPUTE, GPUCNN_CACHE_DIR=str(tmp_path / "cache")) == 0
    assert is_whole(file)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache in which the function of COMPUTE is."""
    folder = tmp_path_factory.mktemp("kept")
    assert run(COMPUTE, GPUCNN_CACHE_DIR=str(folder)) == 0
    return folder


class Planted:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_planted_code_is_not_unpickled(tmp_path, kept):
    """It is whole, digest and all, in a folder that anybody can write into."""
    shutil.copytree(kept, tmp_path / "cache")
    (folder,) = (tmp_path / "cache" / "compiled").iterdir()
    ran = tmp_path / "ran"
    for file in folder.rglob("*.nb*"):
        write(file, [pickle.dumps(Planted(ran))])
    folder.chmod(0o777)
    quiet = "import warnings; warnings.simplefilter('ignore')"
    assert run(quiet + COMPUTE, GPUCNN_CACHE_DIR=str(tmp_path / "cache")) == 0
    assert not ran.exists()


@pytest.mark.slow
def test_a_change_of_another_source_compiles_them_anew(tmp_path):
    """Code that was compiled for another layout of the tables would read where it should not."""
    copy = tmp_path / "copy"
    changed = {"GPUCNN_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": python_path(copy)}
    shutil.copytree(ROOT / "gpucnn", copy / "gpucnn", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "kernels", copy / "kernels", ignore=shutil.ignore_patterns("*.cu*"))
    assert [run(COMPUTE, **changed) for _ in range(2)] == [0, 1]
    for other in ("elementwise.py", "direct/plan.py", "llvm/vectors.py"):
        with (copy / "gpucnn" / "backend" / "numba" / other).open("a") as source:
            source.write("# changed\n")
        assert run(COMPUTE, **changed) == 0, other
    assert run(COMPUTE, **changed) == 1


def test_kernels_run_where_nothing_can_be_kept():
    assert run(NOWHERE + COMPUTE) == 0


def test_a_kernel_has_one_version(compiled):
    """Arrays of other layouts and types are made into those that it was compiled for."""
    from calls import Calls, is_in_place

    def other(array: Any) -> Any:
        array = np.asarray(array)[..., None].repeat(2, -1)[..., 0]
        array.flags.writeable = False
        return array

    for name, call in Calls(other).calls.items():
        if not is_in_place(name):
            call(compiled)
    kernels = {
        value
        for name, module in sys.modules.items()
        if name.startswith("gpucnn.backend.numba.")
        for value in vars(module).values()
        if hasattr(value, "signatures") and value.targetoptions.get("nogil")
    }
    assert len(kernels) > 12
    for kernel in kernels:
        assert len(kernel.signatures) <= 1, kernel
