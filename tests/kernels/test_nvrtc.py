"""Every variant in use compiles for every architecture, to PTX that the simulator can execute.

None spills registers.
"""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from compilation import (
    ARCHITECTURES,
    Resources,
    compile_and_translate,
    compile_for,
    occupancy,
    parse_log,
)  # fmt: skip
from kernel_report import (
    BEGIN,
    END,
    PAGE,
    compile_all,
    differences,
    failures,
    in_turn,
    known_architectures,
    resident,
    table,
)  # fmt: skip
from kernel_variants import in_use, wide

from gpucnn.backend.cuda import nvrtc
from gpucnn.backend.simulator import ptx, resources
from gpucnn.errors import KernelError, MissingExtraError, UsageError


@pytest.fixture(scope="module")
def architectures() -> tuple[int, ...]:
    try:
        return known_architectures()
    except MissingExtraError as error:
        pytest.skip(f"{error.message}: {error.fix}")


@pytest.fixture(scope="module")
def variants() -> Any:
    return in_use()


def test_each_variant_compiles_and_translates_and_needs_what_the_table_says(
    variants: Any, architectures: tuple[int, ...]
) -> None:
    """Each for one architecture in turn: the table was made from all variants on all of them."""
    found = compile_all(in_turn(variants) + in_turn(wide()))
    assert failures(found) == []
    assert differences(found) == []
    assert {architecture for _, architecture in found} == set(architectures)
    assert {variant.digest for variant, _ in found} >= {variant.digest for variant in variants}


def test_every_launch_in_use_can_start_on_every_architecture(variants: Any) -> None:
    for variant in variants:
        needs = resources.table()[variant.digest]
        assert tuple(needs) == ARCHITECTURES
        for architecture, need in needs.items():
            assert resident(variant, need, architecture), (variant, need, architecture)


def test_lines_of_the_source_change_no_instruction(
    variants: Any, architectures: tuple[int, ...]
) -> None:
    """So the PTX that the simulator executes is that of a GPU."""

    def instructions(variant: Any, *flags: str) -> list[str]:
        made = nvrtc.compile(variant.text, flags, "compute_80")
        return [str(each) for each in ptx.read(made.ptx).body if isinstance(each, ptx.Instruction)]

    for variant in variants[::20]:
        assert instructions(variant, "-lineinfo") == instructions(variant), str(variant)


def test_the_table_has_a_row_for_a_variant(variants: Any) -> None:
    need = Resources(40, 2048, 0, 0, 0)
    one = variants[0]._replace(threads=256, shared=1024)
    rows = table([one], {(one, 70): need._replace(registers=32), (one, 90): need}).splitlines()
    assert rows[2:] == [f"| `{one.kernel}` | {one.constants} | 256 | 32 40 | 3072 | 0 | 100 75 |"]


def test_what_is_wrong_is_listed(variants: Any) -> None:
    need, one = Resources(255, 0, 0, 4, 8), variants[0]
    spills, broken = failures({(one, 70): need, (one, 90): KernelError("it does not compile")})
    assert spills == f"{one} spills on sm_70: 255 registers, 4 bytes stored, 8 loaded"
    assert broken == f"{one}: it does not compile"


def test_a_launch_that_cannot_start_is_listed(variants: Any) -> None:
    one = variants[0]._replace(threads=512, shared=1024)
    need = Resources(128, 0, 0, 0, 0)  # all registers of a multiprocessor
    more = {
        (one, 80): need._replace(registers=129),
        (one, 86): need._replace(shared=98 * 1024 + 1),
    }
    assert failures({(one, 80): need, (one, 86): need._replace(shared=98 * 1024)}) == []
    assert failures(more) == [
        f"{one} cannot start on sm_80: 512 threads of 129 registers, 1024 bytes of shared memory",
        f"{one} cannot start on sm_86: 512 threads of 128 registers, 101377 bytes of shared memory",
    ]


def test_every_source_is_in_use(variants: Any, root: Path) -> None:
    sources = {path.stem for path in (root / "kernels").glob("*.cu")}
    assert {variant.source for variant in variants} == sources


def test_the_readme_lists_every_source(root: Path) -> None:
    text = (root / "kernels" / "README.md").read_text()
    for path in (root / "kernels").glob("*.cu*"):
        assert f"| `{path.name}`" in text or f", `{path.name}`" in text


def test_the_table_is_of_the_kernels_there_are(variants: Any) -> None:
    text = PAGE.read_text()
    written = text[text.index(BEGIN) : text.index(END)]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", written, re.MULTILINE)
    there = sorted((variant.kernel, variant.constants) for variant in variants)
    assert sorted(rows) == there, "run: python tests/kernel_report.py --write"
    digests = {variant.digest for variant in variants}
    assert digests == resources.table().keys(), "run: python tests/kernel_report.py --write"


def test_what_the_table_does_not_say_is_listed(
    variants: Any, architectures: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "version", nvrtc.version)
    one, need = variants[0], resources.table()[variants[0].digest][90]
    right = Resources(*need, 0, 0, 0)
    assert differences({(one, 90): right}) == []
    for other in (
        right._replace(registers=need.registers + 1),
        right._replace(shared=need.shared + 1),
    ):
        assert len(differences({(one, 90): other})) == 1


@pytest.mark.parametrize(
    ("text", "is_another"),
    [
        ("int a;  // one\n\n/* two\n */ int b;\n", False),
        ('#line 7 "x.cu"\n  int a;\nint  b;', False),
        ("int a; int b;", True),
        ("int a;\nint c;", True),
        ("#define A 1\nint a;\nint b;", True),
    ],
)
def test_what_is_compiled_decides_the_digest(text: str, is_another: bool) -> None:
    digest = resources.digest("k", "int a;\nint b;\n")
    assert (resources.digest("k", text) != digest) == is_another
    assert resources.digest("j", "int a;\nint b;\n") != digest


SPILLING = """
extern "C" __global__ void __launch_bounds__(1024) spills(float *x) {
    float v[128];
    for (int i = 0; i < 128; ++i) v[i] = x[i * 1024 + threadIdx.x];
    __syncthreads();
    for (int i = 0; i < 128; ++i) x[i * 1024 + threadIdx.x] = v[127 - i] * v[i] + v[i / 2];
}
"""


def test_a_spill_is_seen(architectures: tuple[int, ...]) -> None:
    need = compile_for(SPILLING, 90)["spills"]
    assert need.registers == 64
    assert need.spill_stores > 0
    assert need.spill_loads > 0


def test_ptx_without_a_translation_is_an_error(architectures: tuple[int, ...]) -> None:
    text = 'extern "C" __global__ void adds(int *x) { atomicAdd(x, 4); }'
    with pytest.raises(KernelError, match=r"sm_90 its PTX .* the instruction \w+\.") as caught:
        compile_and_translate(text, 90)
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


def test_an_error_names_the_line(architectures: tuple[int, ...]) -> None:
    text = '#line 7 "kernels/wrong.cu"\nextern "C" __global__ void wrong() { return 3; }\n'
    with pytest.raises(KernelError, match=r"kernels/wrong.cu\(7\): error") as caught:
        compile_for(text, 90)
    assert "sm_90" in caught.value.message


def test_an_unknown_architecture_lists_the_known(architectures: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="sm_71") as caught:
        compile_for("", 71)
    assert "90" in str(caught.value.fix)


def test_without_nvrtc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy.cuda", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingExtraError) as caught:
        nvrtc.supported()
    assert caught.value.fix == 'pip install "gpucnn[cuda12]"'


def test_what_ptxas_says_is_read() -> None:
    log = """kernels/x.cu(2): warning #177-D: 12 registers in a warning
ptxas info    : Compiling entry function 'b' for 'sm_70'
ptxas info    : Function properties for b
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 360 bytes cmem[0]
ptxas info    : Compiling entry function 'a' for 'sm_70'
ptxas info    : Function properties for a
ptxas         .     800 bytes stack frame, 8 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 41 registers, used 1 barriers, 1200 bytes smem, 368 bytes cmem[0]
"""
    assert parse_log(log) == {
        "b": Resources(12, 0, 0, 0, 0),
        "a": Resources(41, 1200, 800, 8, 16),
    }


@pytest.mark.parametrize(
    ("registers", "shared", "threads", "architecture", "share"),
    [
        # Worked out by cuda_occupancy.h of CUDA 13.0.
        (32, 0, 256, 90, 1.0),
        (33, 0, 256, 90, 0.75),
        (128, 0, 256, 90, 0.25),
        (32, 0, 32, 90, 0.5),
        (32, 0, 32, 75, 0.5),
        (64, 40000, 256, 86, 1 / 3),
        (16, 47000, 128, 90, 0.25),
        (16, 47000, 128, 70, 0.125),
        (200, 0, 512, 120, 0.0),
    ],
)
def test_occupancy(
    registers: int, shared: int, threads: int, architecture: int, share: float
) -> None:
    assert occupancy(registers, shared, threads, architecture) == pytest.approx(share)
    assert architecture in ARCHITECTURES
