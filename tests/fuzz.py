"""Coverage-guided fuzzing of a parser: python tests/fuzz.py PARSER --runs 1000000

It needs `pip install atheris`, which has wheels for Linux. The inputs begin with those in
tests/fuzzing/corpus/PARSER, and each is given to the readers of tests/fuzz_parsers.py. A fault is
an exception that is not documented, a message that is too long, a warning, a second of CPU time, or
100 MB of memory.
The first input of each fault is written to --found: it belongs into the corpus when the parser is
mended. At the end a line for the table in tests/fuzzing/README.md is printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

_SECONDS = 1.0  # of CPU time that an input may take
_GROWTH = 100 * 10**6  # bytes of memory that an input may take beyond all before it
_HANG = 60  # seconds after which libFuzzer ends the process, which may wait for a CPU
_MEGABYTES = 4096  # of the process
_PIXELS = 10_000  # of a picture: a larger one takes longer, and reaches no other branches
_BRANCHES = ("gpucnn", "numpy.lib", "zipfile", "tomllib", "PIL", "python_multipart")
#: atheris 3.0 never frees an array that instrumented code compares; these compare the most.
_LEFT_OUT = ("gpucnn.data.components", "gpucnn.data.digit_search", "gpucnn.data.ink")


class Fuzzing:
    """Gives inputs to a parser, counts them, and collects the faults that they show.

    Args:
        parsers: the module `fuzz_parsers`.
        options: of the command line.
        work: a folder that is deleted at the end.
    """

    def __init__(self, parsers: Any, options: argparse.Namespace, work: Path) -> None:
        self._check, self._close = parsers.check, parsers.files.close
        self._options, self._work = options, work
        self._count = self._taken = 0
        self._slowest = 0.0
        self._faults: set[str] = set()
        self._begun, self._begun_cpu = time.monotonic(), time.process_time()
        self._memory = _peak_memory()
        self._end = self._begun + (options.seconds or 10**9)

    def one(self, data: bytes) -> None:
        """Give an input to the parser; the last one ends the process."""
        self._count += 1
        begun, before = time.process_time(), _peak_memory()
        try:
            self._taken += not self._check(self._options.parser, data)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if "gpucnn" in frame.filename] or frames
            self._add(f"{type(error).__name__} in {own[-1].filename}:{own[-1].lineno}", data)
        if _peak_memory() - before > _GROWTH:
            self._add("large", data)
        seconds = time.process_time() - begun
        if seconds > self._slowest:
            self._slowest = seconds
            if seconds > _SECONDS:
                self._add("slow", data)
        if self._count == self._options.runs or time.monotonic() > self._end:
            self._finish()

    def _add(self, fault: str, data: bytes) -> None:
        if fault in self._faults:
            return
        self._faults.add(fault)
        path = self._options.found / f"{self._options.parser}-{len(self._faults)}"
        path.write_bytes(data)
        print(f"FAULT {fault}: {path}", file=sys.stderr)
        traceback.print_exc()

    def _finish(self) -> NoReturn:
        """Print the line for the table, and end the process: libFuzzer would not return."""
        seconds, cpu = time.monotonic() - self._begun, time.process_time() - self._begun_cpu
        memory = (_peak_memory() - self._memory) / 1e6
        print(
            f"| {self._options.parser} | {self._count:,} | {self._taken / self._count:.0%}"
            f" | {seconds:,.0f} s | {cpu:,.0f} s | {memory:,.0f} MB | {self._slowest:.2f} s"
            f" | {len(self._faults)} |",
            flush=True,
        )
        self._close()
        shutil.rmtree(self._work)
        os._exit(bool(self._faults))


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parser", help="a name in PARSERS of tests/fuzz_parsers.py")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs")
    parser.add_argument("--seconds", type=int, help="end after so many")
    parser.add_argument("--found", type=Path, default=Path("found"), help="folder for faults")
    parser.add_argument("--keep", type=Path, help="folder for inputs that reach new branches")
    options = parser.parse_args()
    os.environ |= {"GPUCNN_NUMBA": "0", "OPENBLAS_NUM_THREADS": "1"}
    os.environ["GPUCNN_MAX_PIXELS"] = str(_PIXELS)
    import atheris

    with atheris.instrument_imports(list(_BRANCHES), list(_LEFT_OUT)):
        import fuzz_parsers
    if options.parser not in fuzz_parsers.PARSERS:
        parser.error(f"choose one of {', '.join(fuzz_parsers.PARSERS)}")
    chosen = fuzz_parsers.PARSERS[options.parser]
    work = Path(tempfile.mkdtemp(prefix="fuzz-"))
    kept = options.keep or work / "kept"
    for folder in (kept, options.found):
        folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        str(kept), str(fuzz_parsers.files.CORPUS / options.parser), f"-max_len={chosen.max_bytes}",
        f"-timeout={_HANG}", f"-rss_limit_mb={_MEGABYTES}",
        f"-artifact_prefix={options.found}/hang-",
    ]  # fmt: skip
    if chosen.tokens:
        words = ("".join(f"\\x{byte:02x}" for byte in token) for token in chosen.tokens)
        (work / "words").write_text("".join(f'"{word}"\n' for word in words))
        arguments.append(f"-dict={work / 'words'}")
    warnings.simplefilter("error")
    atheris.Setup([sys.argv[0], *arguments], Fuzzing(fuzz_parsers, options, work).one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
