"""The table of docs/registers.md: the resources of each variant. It needs NVRTC, and no GPU.

python tests/kernel_report.py            prints it
python tests/kernel_report.py --write    writes it there, and kernels/resources.csv, by which the
                                         simulator checks launches
python tests/kernel_report.py --check    fails if a variant does not compile, has PTX that the
                                         simulator cannot execute, spills, or cannot start
"""

from __future__ import annotations

import csv
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from compilation import ARCHITECTURES, Resources, compile_and_translate, occupancy
from kernel_variants import Variant, in_use, wide

from gpucnn.backend.cuda import nvrtc
from gpucnn.backend.simulator import resources
from gpucnn.backend.simulator.resources import Need
from gpucnn.errors import GpucnnError, KernelError, VerificationError

ROOT = Path(__file__).resolve().parents[1]
PAGE, TABLE = ROOT / "docs" / "registers.md", ROOT / "kernels" / resources.FILE
BEGIN, END = "<!-- resources: written by tests/kernel_report.py -->", "<!-- end of resources -->"
Job = tuple[Variant, int]  # a variant and an architecture
Found = dict[Job, Resources | KernelError]


def known_architectures() -> tuple[int, ...]:
    """The architectures of `ARCHITECTURES` that the installed NVRTC knows: 13 dropped sm_70."""
    return tuple(a for a in ARCHITECTURES if a in nvrtc.supported())


def everywhere(variants: list[Variant]) -> list[Job]:
    """Each variant for each architecture."""
    return list(itertools.product(variants, known_architectures()))


def in_turn(variants: list[Variant]) -> list[Job]:
    """Each text once, for one of the architectures in turn."""
    texts = {variant.digest: variant for variant in variants}
    return list(zip(texts.values(), itertools.cycle(known_architectures()), strict=False))


def compile_all(jobs: list[Job]) -> Found:
    """Compiles each text once, on all processors, and translates its PTX."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        futures = {
            unit: pool.submit(compile_and_translate, *unit)
            for unit in sorted({(v.text, architecture) for v, architecture in jobs})
        }
    found: Found = {}
    for variant, architecture in jobs:
        future = futures[variant.text, architecture]
        error = future.exception()
        if isinstance(error, KernelError):
            found[variant, architecture] = error
        else:
            found[variant, architecture] = future.result()[variant.kernel]
    return found


def resident(variant: Variant, need: Resources | Need, architecture: int) -> float:
    """The occupancy of a launch; 0 where not one block fits on a multiprocessor."""
    shared = variant.shared + need.shared
    return occupancy(need.registers, shared, variant.threads, architecture)


def failures(found: Found) -> list[str]:
    """A line for each variant that does not compile, has unknown PTX, spills, or cannot start."""
    lines = set()
    for (variant, architecture), need in found.items():
        if isinstance(need, KernelError):
            lines.add(f"{variant}: {need}")
        elif need.spill_stores or need.spill_loads:
            lines.add(
                f"{variant} spills on sm_{architecture}: {need.registers} registers, "
                f"{need.spill_stores} bytes stored, {need.spill_loads} loaded"
            )
        elif not resident(variant, need, architecture):
            lines.add(
                f"{variant} cannot start on sm_{architecture}: {variant.threads} threads of "
                f"{need.registers} registers, {variant.shared + need.shared} bytes of shared memory"
            )
    return sorted(lines)


def table(variants: list[Variant], found: Found) -> str:
    """A row for each variant; where architectures differ, a figure for each of them, in order."""
    rows = [
        "| kernel | constants | threads | registers | shared | spills | occupancy, % |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for variant in variants:
        needs = {
            architecture: need
            for (v, architecture), need in sorted(found.items())
            if v == variant and isinstance(need, Resources)
        }
        shared = [variant.shared + need.shared for need in needs.values()]
        shares = [round(100 * resident(variant, need, a)) for a, need in needs.items()]
        figures = (
            [need.registers for need in needs.values()],
            shared,
            [need.spill_stores + need.spill_loads for need in needs.values()],
            shares,
        )
        rows.append(
            f"| `{variant.kernel}` | {variant.constants} | {variant.threads} | "
            + " | ".join(map(_figures, figures))
            + " |"
        )
    return "\n".join(rows)


def _figures(values: list[int]) -> str:
    return " ".join(map(str, values)) if len(set(values)) > 1 else str(values[0])


def write_page(text: str) -> None:
    """Puts the table for readers between its markers."""
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def write_resources(variants: list[Variant], found: Found) -> None:
    """Writes the table for the simulator: a line for each text, the registers by architecture."""
    columns = [*resources.COLUMNS]
    columns[-1] += "".join(f" sm_{architecture}" for architecture in known_architectures())
    rows = {}
    for one in variants:
        needs = [found[one, architecture] for architecture in known_architectures()]
        (shared,) = {need.shared for need in needs}  # the same on all architectures
        registers = " ".join(str(need.registers) for need in needs)
        rows[one.digest] = (one.kernel, one.constants, one.digest, shared, registers)
    with TABLE.open("w", newline="") as file:
        file.write(f"{resources.MADE_BY}{nvrtc.version()}\n")
        csv.writer(file, lineterminator="\n").writerows((columns, *rows.values()))


def differences(found: Found) -> list[str]:
    """A line for each variant of the table that does not need what kernels/resources.csv says.

    Another version of NVRTC allocates registers in another way, and is not compared.
    """
    if resources.version() != nvrtc.version():
        return []
    table = resources.table()
    lines = set()
    for (variant, architecture), need in found.items():
        written = table.get(variant.digest, {}).get(architecture)
        if written and isinstance(need, Resources) and written != (need.registers, need.shared):
            lines.add(
                f"{variant} on sm_{architecture} needs {need}, kernels/{TABLE.name} has {written}"
            )
    return sorted(lines)


def main(arguments: list[str]) -> None:
    shown = in_use()
    found = compile_all(everywhere(shown + wide()))
    if wrong := failures(found):
        raise VerificationError("kernels are not as they should be", cause="\n".join(wrong))
    if "--write" in arguments:
        write_page(table(shown, found))
        write_resources(shown, found)
    elif "--check" not in arguments:
        print(table(shown, found))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except GpucnnError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
