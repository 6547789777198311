"""The loop that measures a GPU's ceiling of arithmetic, in the PTX that NVRTC makes of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from kernel_report import known_architectures
from kernel_variants import Recorder, Variant

from gpucnn.backend.cuda.backend import CudaBackend
from gpucnn.backend.simulator import xp
from gpucnn.bench import ceilings
from gpucnn.bench.stopwatch import Stopwatch
from gpucnn.errors import MissingExtraError

PTX = """.visible .entry first(
)
{
$L__BB0_1:
\tadd.s32 \t%r1, %r1, 1;
\tbra.uni \t$L__BB0_1;
}
.visible .entry second(
\t.param .u64 second_param_0
)
{
\t.reg .f32 \t%f<3>;
\t@%p1 bra \t$L__BB1_2;

$L__BB1_1:
\t.pragma "nounroll";
\tfma.rn.ftz.f32 \t%f1, %f1, %f2, %f2;
\tsetp.ne.s32 \t%p1, %r1, 0;
\t@%p1 bra \t$L__BB1_1;

$L__BB1_2:
\tbar.sync \t0;
\tret;
}
"""


def loops(ptx: str, kernel: str) -> list[list[str]]:
    """The opcodes of each loop of a kernel, from a label to the jump back to it: "fma.rn.f32"."""
    parts = re.split(r"\.entry (\w+)", ptx)
    text = parts[parts.index(kernel) + 1]
    labels: dict[str, int] = {}
    opcodes: list[str] = []
    found = []
    for label, opcode, operands in re.findall(
        r"^(?:(\$\w+):|\t(?:@\S+ )?([a-z][\w.]*)\s*(.*);)$", text, re.MULTILINE
    ):
        if label:
            labels[label] = len(opcodes)
            continue
        opcodes.append(opcode)
        if opcode.startswith("bra") and operands in labels:
            found.append(opcodes[labels[operands] :])
    return found


def ptx_of(variant: Variant, architecture: int) -> str:
    """What NVRTC makes of a kernel's text for an architecture, 90 for compute capability 9.0."""
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(variant.text, "kernels", (), ())
    nvrtc.compileProgram(program, ("-std=c++17", "-ftz=true", f"-arch=compute_{architecture}"))
    ptx = nvrtc.getPTX(program)
    nvrtc.destroyProgram(program)
    return ptx if isinstance(ptx, str) else ptx.decode()


@pytest.fixture(scope="module")
def architectures() -> Any:
    try:
        return known_architectures()
    except MissingExtraError as error:
        pytest.skip(f"{error.message}: {error.fix}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_at_least_98_percent_of_it_are_multiply_adds(dtype: str, architectures: Any) -> None:
    recorder = Recorder(132)
    call, _ = ceilings.fma_loop(Stopwatch(CudaBackend("cuda:0", xp, recorder)), dtype)
    call()
    (variant,) = recorder.variants
    for architecture in architectures:
        loop = max(loops(ptx_of(variant, architecture), "fma_loop"), key=len)
        fma = sum(opcode.startswith("fma.rn.") for opcode in loop)
        # Two more instructions: ptxas was seen to add so many to the loop for sm_80.
        assert fma / (len(loop) + 2) >= 0.98, architecture
        turns, rest = divmod(fma, ceilings._FMA_CHAINS)
        assert (rest, ceilings._FMA_TURNS % turns) == (0, 0)  # none is left for a second loop


def test_loops_are_found_in_ptx() -> None:
    assert loops(PTX, "first") == [["add.s32", "bra.uni"]]
    assert loops(PTX, "second") == [["fma.rn.ftz.f32", "setp.ne.s32", "bra"]]
