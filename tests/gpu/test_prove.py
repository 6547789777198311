"""What `prove.py` says of its parts, their time, and what a run needs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from gpu.prove_runs import prove
from processes import ROOT


def test_parts_that_pass_and_fail(run: Any) -> None:
    fails = "print('why'); raise SystemExit(3)"
    done = run(("first", 1, "print('well')"), ("second", 1, fails), ("third", 1, ""))
    assert done.code == 1
    assert done.states == ["passed", "failed", "passed"]
    assert done.parts["second"]["reason"] == "exit code 3"
    assert done.parts["second"]["tail"] == ["why"]
    assert done.files["first.log"] == "well\n"
    assert "second" in done.out
    assert "failed: exit code 3\n    why\n" in done.files["summary.txt"]
    assert done.files["summary.txt"] in done.out
    done = run(("first", 1, ""), ("second", 1, ""))
    assert (done.code, done.states) == (0, ["passed", "passed"])


@pytest.mark.slow
def test_a_part_that_hangs_is_killed_with_what_it_started(run: Any, tmp_path: Path) -> None:
    hangs = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    done = run(("hangs", 1, hangs), ("next", 1, "print('here')"), seconds=6)
    assert (done.code, done.states) == (1, ["timed out", "passed"])
    pid = int((tmp_path / "pid").read_text())
    status = Path(f"/proc/{pid}/status")
    assert not status.exists() or "zombie" in status.read_text()


@pytest.mark.slow
def test_a_part_is_interrupted_before_it_is_killed(run: Any) -> None:
    saves = """
import time
try:
    print("measuring")
    time.sleep(600)
except KeyboardInterrupt:
    print("saved")
"""
    # A shell that starts a command in the background has it ignore SIGINT.
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    done = run(("saves", 1, saves), seconds=6, preexec_fn=ignore)
    assert (done.code, done.states) == (1, ["timed out"])
    assert done.files["saves.log"] == "measuring\nsaved\n"


@pytest.mark.slow
def test_time_that_a_part_leaves_goes_to_the_next(run: Any) -> None:
    sleeps = "import time; time.sleep(2)"  # its own share is 1.2 s
    done = run(("short", 9, ""), ("long", 1, sleeps), seconds=12)
    assert done.states == ["passed", "passed"]


def test_a_part_without_time_is_not_reached(run: Any) -> None:
    done = run(("first", 1, ""), ("second", 0, ""), seconds=1e-3)
    assert (done.code, done.states) == (1, ["not reached"] * 2)
    assert done.parts["second"]["reason"] == "no time was left"


@pytest.mark.slow
def test_all_parts_that_hang_take_the_time_and_no_more(run: Any) -> None:
    hangs = "import time; time.sleep(600)"
    began = time.monotonic()
    done = run(
        *((name, share, hangs) for name, share in zip("abc", (1, 2, 1), strict=True)), seconds=4
    )
    assert 2.5 < time.monotonic() - began < 30
    assert done.states == ["timed out"] * 3
    taken = [part["seconds"] for part in done.parts.values()]
    assert taken[1] > taken[2]


def test_a_program_that_is_missing(run: Any) -> None:
    missing = {"needs": "no-such-program"}
    done = run(("first", 1, "", missing), ("second", 1, ""))
    assert (done.code, done.states) == (1, ["failed", "passed"])
    assert done.parts["first"]["reason"] == "no-such-program is not on the PATH"


def test_a_log_without_the_proof(run: Any) -> None:
    proof = {"proof": r"SUMMARY: 0 errors"}
    says = "print('SUMMARY: 0 errors')"
    done = run(("silent", 1, "", proof), ("proves", 1, says, proof))
    assert done.states == ["failed", "passed"]
    assert done.parts["silent"]["reason"] == "its log does not say: SUMMARY: 0 errors"


def test_tests_that_did_not_run_prove_nothing(run: Any, tmp_path: Path) -> None:
    def writes(name: str, body: str) -> tuple[Any, ...]:
        path = tmp_path / f"{name}.xml"
        text = f"<testsuites>{body}</testsuites>"
        code = f"open({str(path)!r}, 'w').write({text!r})" if body else ""
        return name, 1, code, {"report": str(path)}

    counted = '<testsuite tests="{}" failures="0" errors="0" skipped="{}">{}</testsuite>'
    skip = '<testcase><skipped message="{}: CUDA cannot be used"/></testcase>'
    done = run(
        writes("well", counted.format(2, 1, skip.format("no torch"))),
        writes("none", counted.format(0, 0, "")),
        writes("no-device", counted.format(2, 1, skip.format("cpu"))),
        writes("no-report", ""),
        options=("--device", "cpu"),
    )
    assert done.states == ["passed", "failed", "failed", "failed"]
    assert done.parts["well"]["tests"]["tests"] == 2
    reasons = [part.get("reason") for part in done.parts.values()][1:]
    assert reasons == ["no test ran", "skipped: cpu: CUDA cannot be used", "pytest wrote no report"]


def test_without_the_data_it_does_not_begin(tmp_path: Path) -> None:
    out = str(tmp_path / "record.tgz")
    done = prove("--data", str(tmp_path / "nothing"), "--device", "cpu", "--out", out)
    assert done.returncode == 2
    assert "train-images-idx3-ubyte" in done.stdout
    assert "nothing was run: give --data FOLDER" in done.stdout
    assert "===" not in done.stdout


def test_without_a_package_it_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "platformdirs.py").write_text("raise ImportError('no platformdirs')\n")
    out = str(tmp_path / "record.tgz")
    done = prove("--data", "digits", "--device", "cpu", "--out", out, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "no platformdirs" in done.stdout


def test_an_unknown_part(tmp_path: Path) -> None:
    done = prove("--only", "sweet", "--out", str(tmp_path / "record.tgz"))
    assert done.returncode == 2
    assert "no such part: sweet; there are environment, warm, " in done.stdout


def test_pythonpath_is_kept(run: Any, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = run(("part", 1, "import sys; print(sys.path)"), env=env)
    path = eval(done.files["part.log"])
    assert path[1:4] == [str(ROOT), str(ROOT / "tests"), str(tmp_path)]
