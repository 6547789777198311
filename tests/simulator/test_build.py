"""The compiler, and the cache of what it made."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gpucnn.backend.cuda import nvrtc
from gpucnn.backend.simulator import SimulatorLauncher, build
from gpucnn.backend.simulator.diagnosis import simulator_facts
from gpucnn.errors import (
    DeviceError,
    GpucnnWarning,
    KernelError,
    MissingExtraError,
    StorageError,
    UsageError,
)

SOURCE = """#include "common.cuh"
extern "C" __global__ void constant(float *y) { y[threadIdx.x] = VALUE; }
"""


@pytest.fixture
def cache(compiler, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path))
    return tmp_path / "simulator"


@pytest.fixture
def compiled(monkeypatch):
    """The texts that were given to the compiler."""
    texts = []
    run = subprocess.run

    def recorded(command, **options):
        if "input" in options:
            texts.append(options["input"])
        return run(command, **options)

    monkeypatch.setattr(build.subprocess, "run", recorded)
    return texts


def value_of(text=SOURCE, value="1.0f", **options):
    """What a fresh launcher writes for a kernel of one constant."""
    launcher = SimulatorLauncher(**options)
    launcher.add_source("constant", text)
    y = launcher.empty((1,), np.float32)
    launcher.launch("constant", "constant", 1, 1, y, VALUE=value)
    return float(y[0])


@pytest.mark.slow
def test_objects_are_kept_by_content(cache, compiled, monkeypatch):
    assert value_of() == 1
    assert len(compiled) == 2  # the kernel and the runtime
    assert value_of() == 1
    assert len(compiled) == 2
    assert value_of(value="2.0f") == 2
    assert value_of(SOURCE.replace("= VALUE", "= 3.0f + VALUE")) == 4
    assert len(compiled) == 4
    assert value_of(sanitize="undefined") == 1
    assert len(compiled) == 5
    version = build.version
    for what, changed in (
        ("_headers", lambda: ("// another header",)),
        ("version", lambda command: f"{version(command)} of tomorrow"),
    ):
        before = len(compiled)
        monkeypatch.setattr(build, what, changed)
        assert value_of() == 1
        assert len(compiled) == before + 2, what
    assert len(list(cache.iterdir())) == len(compiled)


RUN = f"""
import sys
import numpy as np
from gpucnn.backend.simulator import SimulatorLauncher
launcher = SimulatorLauncher()
launcher.add_source("constant", {SOURCE!r})
y = launcher.empty((1,), np.float32)
launcher.launch("constant", "constant", 1, 1, y, VALUE="7.0f")
print(float(y[0]))
"""


def start():
    """Another process that compiles, or loads, a kernel and prints 7.0."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            lambda content: content[: len(content) // 2], id="truncated", marks=pytest.mark.slow
        ),
        pytest.param(lambda content: content[:5000] + b"?" + content[5001:], id="altered"),
        pytest.param(lambda content: b"", id="empty", marks=pytest.mark.slow),
        pytest.param(lambda content: bytes(len(content)), id="zeros", marks=pytest.mark.slow),
    ],
)
def test_damaged_objects_are_compiled_again(cache, damage):
    assert start().communicate()[0] == "7.0\n"
    whole = {path: path.read_bytes() for path in cache.iterdir()}
    assert len(whole) == 2
    for path, content in whole.items():
        path.write_bytes(damage(content))
        assert path.read_bytes() != content
    assert start().communicate()[0] == "7.0\n"
    assert {path: path.read_bytes() for path in cache.iterdir()} == whole


@pytest.mark.slow
def test_processes_at_once(cache):
    started = [start() for _ in range(3)]
    assert [process.communicate()[0] for process in started] == ["7.0\n"] * 3
    assert len(list(cache.iterdir())) == 2  # and nothing temporary


@pytest.mark.slow
def test_a_directory_in_the_place_of_an_object(cache):
    assert start().communicate()[0] == "7.0\n"
    for path in cache.iterdir():
        path.unlink()
        (path / "inner").mkdir(parents=True)
    assert start().communicate()[0] == "7.0\n"
    assert all(path.is_file() for path in cache.iterdir())


def test_cache_that_cannot_be_made(compiler, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(GpucnnWarning, match="GPUCNN_CACHE_DIR"):
        assert value_of() == 1


def test_a_planted_object_is_not_loaded(cache, compiled, monkeypatch):
    """Its name and its digest are right, but anybody could have put it there."""
    assert value_of(value="6.0f") == 6
    whole = {path: path.read_bytes() for path in cache.iterdir()}
    cache.chmod(0o777)
    before = len(compiled)
    with pytest.warns(GpucnnWarning, match="other users can write into"):
        assert value_of(value="6.0f") == 6
    assert len(compiled) > before
    assert {path: path.read_bytes() for path in cache.iterdir()} == whole


def test_the_doctor_says_that_a_cache_is_not_used(cache):
    assert "not used" not in simulator_facts()["cache"]
    cache.mkdir(mode=0o700)
    assert "not used" not in simulator_facts()["cache"]
    cache.chmod(0o777)
    assert f"not used: other users can write into {cache}" in simulator_facts()["cache"]


def test_a_disk_that_is_full(cache, monkeypatch):
    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageError, match="GPUCNN_CACHE_DIR"):
        value_of(value="3.5f")


@pytest.mark.parametrize("CXX", [None, "no-such-compiler -O2", '"g++'])
def test_no_compiler(monkeypatch, tmp_path, CXX):
    monkeypatch.setenv("PATH", str(tmp_path))
    if CXX is None:
        monkeypatch.delenv("CXX", raising=False)
    else:
        monkeypatch.setenv("CXX", CXX)
    with pytest.raises(DeviceError, match="apt-get install g") as error:
        SimulatorLauncher()
    assert error.value.exit_code == 3
    assert CXX is None or CXX in str(error.value)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param("#!/bin/sh\nprintf '\\377'; exit 7", "exit status is 7", id="no version"),
        pytest.param("no program at all", "Exec format error", id="not to be run"),
        pytest.param("#!/bin/sh\necho g++ 12", "exit status is 0", id="makes nothing"),
        pytest.param(
            '#!/bin/sh\ncase "$1" in --version) exit;; esac\nprintf "no \\377 space" >&2; exit 1',
            "no \N{REPLACEMENT CHARACTER} space",
            id="says what is no text",
        ),
        pytest.param(
            '#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done; case "$1" in *.so) echo > "$1";; esac',
            "too short",
            id="makes no object",
        ),
    ],
)
def test_compiler_that_does_not_work(cache, tmp_path, monkeypatch, script, said):
    program = tmp_path / "compiler"
    program.write_text(script)
    program.chmod(0o700)
    monkeypatch.setenv("CXX", str(program))
    with pytest.raises(DeviceError) as error:
        SimulatorLauncher()
    assert said in error.value.cause
    assert "CXX" in error.value.fix


def test_ctrl_c_does_not_reach_the_compiler(cache, tmp_path, monkeypatch):
    """It is sent to the process group of the terminal, of which the compiler is no part."""
    program, group = tmp_path / "compiler", tmp_path / "group"
    program.write_text(f'#!/bin/sh\ncut -d" " -f5 /proc/$$/stat > {group}\nexec g++ "$@"')
    program.chmod(0o700)
    monkeypatch.setenv("CXX", str(program))
    SimulatorLauncher()
    assert int(group.read_text()) != os.getpgrp()


def test_compiler_with_options(cache, monkeypatch):
    monkeypatch.setenv("CXX", "g++ -DVALUE_OF_CXX=5.0f")
    assert value_of(value="VALUE_OF_CXX") == 5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("int oops = nothing;", "kernels/constant.cu:2:12: error: "),
        ("__device__ float undefined(float); "
         "__device__ float use() { return undefined(VALUE); }", "undefined"),
    ],
)  # fmt: skip
def test_source_that_does_not_compile(cache, line, said):
    text = SOURCE.replace("extern", f"{line}\nextern", 1)
    with pytest.raises(KernelError, match="cannot be run") as error:
        value_of(text)
    assert said in error.value.cause
    assert len(list(cache.iterdir())) == 1  # the runtime


@pytest.mark.parametrize("name", ["GPUCNN_SIM_FROM", "GPUCNN_SIM_ORDER", "GPUCNN_SIM_SANITIZE"])
def test_unknown_settings(compiler, monkeypatch, name):
    monkeypatch.setenv(name, "backwards")
    with pytest.raises(UsageError, match="backwards") as caught:
        SimulatorLauncher()
    assert f"set {name} to one of" in caught.value.fix


def test_settings(compiler, monkeypatch):
    assert SimulatorLauncher().order == "forward"
    monkeypatch.setenv("GPUCNN_SIM_ORDER", "shuffled")
    monkeypatch.setenv("GPUCNN_SIM_SANITIZE", "undefined")
    launcher = SimulatorLauncher()
    assert (launcher.order, launcher.sanitize) == ("shuffled", "undefined")
    described = launcher.describe()
    assert described["order"] == "shuffled"
    assert "-fsanitize=undefined" in described["flags"]


def test_ptx_is_made_and_translated_once(cache, compiled, monkeypatch):
    try:
        monkeypatch.setenv("GPUCNN_SIM_FROM", "ptx")
        assert value_of() == 1
    except MissingExtraError as error:
        pytest.skip(f"{error.message}: {error.fix}")
    assert len(compiled) == 2  # the kernel and the runtime
    assert "namespace ptx" in compiled[1]
    assert SimulatorLauncher().describe()["compiled_from"].startswith("PTX for sm_80 by NVRTC ")
    made = []
    compile_ = nvrtc.compile
    monkeypatch.setattr(nvrtc, "compile", lambda *given: made.append(given) or compile_(*given))
    assert value_of() == 1
    assert len(compiled) - 2 == len(made) == 0
    assert value_of(value="2.0f") == 2
    assert value_of(architecture=75) == 1
    monkeypatch.setattr(build, "_translator", lambda: ("another translator",))
    assert value_of() == 1
    assert len(compiled) - 2 == len(made) == 3
    assert [given[2] for given in made] == ["compute_80", "compute_75", "compute_80"]


def test_ptx_that_is_not_made_names_the_line(cache, monkeypatch):
    monkeypatch.setenv("GPUCNN_SIM_FROM", "ptx")
    try:
        with pytest.raises(KernelError, match="cannot be run: a kernel does not compile") as caught:
            value_of(SOURCE.replace("VALUE;", "nothing;"))
    except MissingExtraError as error:
        pytest.skip(f"{error.message}: {error.fix}")
    assert "kernels/constant.cu(2): error" in caught.value.cause


def test_ptx_without_nvrtc(compiler, monkeypatch):
    monkeypatch.setenv("GPUCNN_SIM_FROM", "ptx")
    monkeypatch.setitem(sys.modules, "cupy.cuda", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingExtraError) as caught:
        SimulatorLauncher()
    assert caught.value.fix == 'pip install "gpucnn[cuda12]"'


def test_launches_of_several_threads_take_turns(simulator):
    launcher = simulator()
    arrays = [launcher.empty((64,), np.float32) for _ in range(8)]

    def work(y):
        for _ in range(20):
            launcher.launch("faults", "right", 3, 64, y, 0)
        return launcher.to_numpy(y)

    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(work, arrays):
            np.testing.assert_array_equal(y, np.repeat([32.0, 0.0], 32))


def test_two_ways_of_switching_share_an_object(simulator):
    """A kernel's object serves each launcher's own runtime, in turn."""
    first, second = simulator(portable=False), simulator(portable=True)
    y = first.empty((64,), np.float32)
    for launcher in (first, second, first):
        y.fill(0)
        launcher.launch("faults", "right", 1, 64, y, 0)
        np.testing.assert_array_equal(launcher.to_numpy(y), np.repeat([32.0, 0.0], 32))


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("GPUCNN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "gpucnn" / "simulator"
    assert not os.listdir(tmp_path)
