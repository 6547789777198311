"""Whether a failing disk loses anything: each file operation of a command fails once.

The commands are a training, a resumed training and a download.

python tests/faults.py          each operation, with one error each
python tests/faults.py --all    with every error, and those that draw the pictures of a run, too

The operations are those of the C library, so they are counted and made to fail below Python: see
faults.cpp. After a fault there must be a clear error, or the result must be right all the same; the
files must be readable; and the training, resumed, or the download, repeated, must leave what one
without faults leaves. The exit code is 1 if one does not.
"""

from __future__ import annotations

import os
import sys

# The compiled backend writes the same files. No proxy is on the way to this machine.
os.environ |= {"GPUCNN_NUMBA": "0", "NO_PROXY": "127.0.0.1"}

import argparse
import contextlib
import ctypes
import errno
import functools
import gzip
import hashlib
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from run_files import Damaged, check_readable, contents, left
from web_server import Server

from gpucnn.cli import outcome
from gpucnn.cli.main import main as main_command
from gpucnn.data import sources

HERE = Path(__file__).resolve().parent
LIBRARY = "GPUCNN_TEST_FAULTS"  # the variable of the environment with its path
save_pictures = outcome.save_pictures
SHORT = 0  # the code of a read or write of half of the bytes, which is no error
WRITING = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
#: Operation -> the errors that it ends with.
CODES: dict[str, tuple[int, ...]] = {
    "open": (errno.EMFILE, errno.ENOSPC, errno.EIO, errno.EROFS),
    "opendir": (errno.EMFILE, errno.EIO),
    "read": (SHORT, errno.EIO),
    "write": (SHORT, *WRITING),
    "lock": (errno.ENOLCK, errno.EIO),
}
OPTIONS = (
    "--data", "data.npz", "--model", "softmax", "--epochs", "2", "--batch-size", "40",
    "--validation", "20", "--device", "cpu", "--threads", "1",
    "--log", "csv", "--name", "run",
)  # fmt: skip
RUN = Path("runs/run")
TRAIN = ("train", *OPTIONS)
RESUME = ("train", "--resume", str(RUN))


@dataclass
class Done:
    """A command: its exit code, its errors, and its operations on files below the folder."""

    code: int
    err: str
    operations: list[str]


@dataclass(frozen=True)
class Scenario:
    """A command whose operations fail, one after the other.

    Args:
        reset: makes the files that there are before it.
        check: raises Damaged if the command, with a fault, did not end as it should.
        path: only operations on paths with this text fail.
    """

    name: str
    arguments: Sequence[str]
    reset: Callable[[], None]
    check: Callable[[Done], None]
    path: str = ""


@dataclass
class Disk:
    """Runs commands in the current folder, one of whose file operations fails."""

    library: ctypes.CDLL

    def __call__(
        self, arguments: Sequence[str], number: int = 0, code: int = 0, lasting: bool = False
    ) -> Done:
        """Run a command whose operation `number`, from 1, fails; if `lasting`, all after it too."""
        self.library.faults_arm(os.getcwd().encode(), number, code, lasting)
        try:
            result = CliRunner().invoke(main_command, arguments)
        finally:
            operations = self.library.faults_disarm().decode().splitlines()
        if result.exception and not isinstance(result.exception, SystemExit):
            raise Damaged(f"{type(result.exception).__name__}: {result.exception}")
        return Done(result.exit_code, result.stderr, operations)


def check_end(done: Done) -> None:
    """Raise Damaged unless a command that failed ended in a clear error."""
    if done.code == 0:  # the operation did not matter
        return
    if done.code not in (1, 4) or "error: " not in done.err or "cause: " not in done.err:
        raise Damaged(f"exit code {done.code}: {done.err}")
    if "bug in gpucnn" in done.err:
        raise Damaged(done.err)


def check_again(disk: Disk, arguments: Sequence[str]) -> None:
    """Raise Damaged unless a command succeeds that follows the one with a fault."""
    again = disk(arguments)
    if again.code != 0:
        raise Damaged(f"again, with exit code {again.code}: {again.err}")


def check_training(disk: Disk, expected: dict[str, Any], draws: bool, done: Done) -> None:
    """Check how a training with a fault ended, resume it, and compare what it leaves.

    Args:
        draws: whether the fault was in a picture, which fails no training.
    """
    check_readable(RUN)
    check_end(done)
    if draws and done.code != 0:
        raise Damaged(f"exit code {done.code}: {done.err}")
    if done.code == 0:
        compare(contents(RUN), expected)
    check_again(disk, RESUME if RUN.exists() else TRAIN)
    compare(contents(RUN), expected)
    check_left(RUN.parent)


def check_left(folder: Path) -> None:
    """Raise Damaged if there are files of a write that did not end."""
    if paths := left(folder):
        raise Damaged(f"files that are left: {', '.join(map(str, paths))}")


def compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise Damaged unless these are the expected contents."""
    if different := [key for key in expected | found if found.get(key) != expected.get(key)]:
        raise Damaged(f"other contents: {', '.join(different)}")


def faults(operations: Sequence[str], every: bool) -> Iterator[tuple[int, int, bool]]:
    """(number of the operation, error, whether it lasts) of each fault."""
    for number, operation in enumerate(operations, 1):
        codes = CODES.get(operation.split()[0], WRITING)
        if every:
            yield from ((number, code, lasting) for code in codes for lasting in (False, True))
        else:
            yield number, codes[number % len(codes)], number // len(codes) % 2 == 1


def trainings(disk: Disk, every: bool) -> Iterator[Scenario]:
    """A training, a resumed one, and one that draws its pictures."""
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez("data.npz", x=images, y=np.arange(60) % 3)
    outcome.save_pictures = _draw_nothing
    first = disk(TRAIN)
    if first.code != 0:
        raise Damaged(first.err)
    expected = contents(RUN)
    finished = Path(shutil.copytree(RUN.parent, "finished"))
    shutil.rmtree(RUN.parent)
    disk(TRAIN, len(first.operations) // 2, errno.ENOSPC, lasting=True)
    half = Path(shutil.copytree(RUN.parent, "half"))
    check = functools.partial(check_training, disk, expected, False)
    yield Scenario("train", TRAIN, functools.partial(reset, None), check)
    yield Scenario("resume", RESUME, functools.partial(reset, half), check)
    if every:
        outcome.save_pictures = save_pictures
        check = functools.partial(check_training, disk, expected, True)
        yield Scenario("draw", RESUME, functools.partial(reset, finished), check, ".png")


@contextlib.contextmanager
def fetching(disk: Disk, folder: Path) -> Iterator[Scenario]:
    """A download, from a server in this process; its files are in `folder`."""
    server = Server(folder)
    arguments = ("data", "fetch", "mnist", "--data-dir", "fetched")
    files = {f"{name}.gz": gzip.compress(name.encode(), mtime=0) for name in sources.FILES}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    stand_in = replace(
        sources.SOURCES["mnist"],
        mirrors=(server.url,),
        sizes=tuple(map(len, files.values())),
        packed=tuple(hashlib.sha256(content).hexdigest() for content in files.values()),
        unpacked=tuple(hashlib.sha256(name.encode()).hexdigest() for name in sources.FILES),
    )
    sources.SOURCES["mnist"] = stand_in
    target = Path("fetched/mnist")

    def check(done: Done) -> None:
        check_end(done)
        found = {path.name: path.read_bytes() for path in target.glob("*.gz")}
        compare(found, files if done.code == 0 else {name: files[name] for name in found})
        check_again(disk, arguments)
        compare({path.name: path.read_bytes() for path in target.glob("[!.]*")}, files)
        check_left(target)

    try:
        yield Scenario("fetch", arguments, lambda: shutil.rmtree("fetched", True), check)
    finally:
        server.stop()


def run(disk: Disk, scenario: Scenario, every: bool) -> tuple[int, int]:
    """Make each operation of a command fail; returns the number of faults and of losses."""
    scenario.reset()
    operations = disk(scenario.arguments).operations
    kinds = Counter(operation.split()[0] for operation in operations)
    print(f"{scenario.name}: {len(operations)} operations:", dict(kinds.most_common()), flush=True)
    count = lost = 0
    for number, code, lasting in faults(operations, every):
        place = operations[number - 1]
        if scenario.path not in place:
            continue
        scenario.reset()
        count += 1
        try:
            scenario.check(disk(scenario.arguments, number, code, lasting))
        except Damaged as error:
            lost += 1
            fault = errno.errorcode.get(code, "short") + " lasting" * lasting
            print(f"{scenario.name}: {place}: {fault}: {error}", flush=True)
    return count, lost


def _draw_nothing(*_: object) -> None:
    """In place of the pictures, which take most of the time."""


def reset(before: Path | None) -> None:
    """Put the runs back to those of a folder; to none by default."""
    shutil.rmtree(RUN.parent, ignore_errors=True)
    if before is not None:
        shutil.copytree(before, RUN.parent)


def start_again(folder: Path) -> int:
    """Compile faults.cpp, and start this script again with it; returns the exit code."""
    library = folder / "libfaults.so"
    compiler = ["g++", "-std=c++17", "-O1", "-Wall", "-shared", "-fPIC"]
    subprocess.run([*compiler, HERE / "faults.cpp", "-o", library, "-ldl"], check=True)
    variables = {"LD_PRELOAD": str(library), LIBRARY: str(library)}
    command = [sys.executable, *sys.argv]
    return subprocess.run(command, env={**os.environ, **variables}).returncode


def main() -> int:
    """Make operations fail, print a line for each that lost something, return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every error, and the pictures")
    given = parser.parse_args()
    begun = time.monotonic()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a disk takes long to sync
    with tempfile.TemporaryDirectory(prefix="faults.", dir=memory) as folder:
        if LIBRARY not in os.environ:
            return start_again(Path(folder))
        place, mirror = Path(folder, "place"), Path(folder, "mirror")
        place.mkdir()
        mirror.mkdir()
        library = ctypes.CDLL(os.environ.pop(LIBRARY))
        library.faults_disarm.restype = ctypes.c_char_p
        disk = Disk(library)
        os.chdir(place)
        try:
            results = [run(disk, scenario, given.all) for scenario in trainings(disk, given.all)]
            with fetching(disk, mirror) as scenario:
                results.append(run(disk, scenario, given.all))
        finally:
            os.chdir(HERE)
        count, lost = (sum(numbers) for numbers in zip(*results, strict=True))
    print(f"{count} faults: {lost} lost something, in {time.monotonic() - begun:.0f} s")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
