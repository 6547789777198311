"""PTX that has no translation is an error, which names it."""

from __future__ import annotations

import pytest

from gpucnn.backend.simulator.translation import translate
from gpucnn.errors import KernelError


def text(body, variables="", behind=""):
    return f"""
.version 8.8
.target sm_80
.address_size 64
{variables}
.visible .entry kernel(.param .u64 x)
{{
    .reg .pred %p<3>; .reg .b32 %r<5>; .reg .b64 %rd<5>; .reg .f32 %f<5>; .reg .f64 %fd<5>;
    {body}
    ret;
}}
{behind}"""


@pytest.mark.parametrize(
    "instruction",
    [
        "foo.b32 %r1, %r2",
        "trap",
        "add.rz.ftz.f32 %f1, %f2, %f3",
        "add.cc.u32 %r1, %r2, %r3",
        "add.ftz.f64 %fd1, %fd2, %fd3",
        "add.s32 %r1, %r2",
        "add.s32 %r1, %r2, %r3, %r4",
        "fma.rn.relu.f32 %f1, %f2, %f3, %f4",
        "min.NaN.f32 %f1, %f2, %f3",
        "mul.s32 %r1, %r2, %r3",
        "mul.lo.sat.s32 %r1, %r2, %r3",
        "sqrt.approx.ftz.f32 %f1, %f2",
        "setp.lt.and.s32 %p1, %r1, %r2, %p2",
        "setp.lo.u32 %p1, %r1, %r2",
        "set.lt.u32.s32 %r1, %r2, %r3",
        "cvt.rz.f32.f64 %f1, %fd1",
        "cvt.f32.f64 %f1, %fd1",
        "cvt.rn.f64.f32 %fd1, %f1",
        "cvt.s32.f32 %r1, %f1",
        "cvt.sat.s32.s64 %r1, %rd1",
        "cvt.rn.f16.f32 %r1, %f1",
        "cvt.u32.f16 %r1, %r2",
        "ld.global.ca.f32 %f1, [%rd1]",
        "ld.volatile.global.f32 %f1, [%rd1]",
        "ld.shared.nc.f32 %f1, [%rd1]",
        "ld.local.f32 %f1, [%rd1]",
        "ld.f32 %f1, [%rd1]",
        "ld.global.f16 %f1, [%rd1]",
        "ld.global.v2.f32 {%f1}, [%rd1]",
        "ld.global.f32 %f9, [%rd1]",
        "ld.global.f32 %f1, [%rd1+%rd2]",
        "st.global.v8.f32 [%rd1], {%f1, %f2, %f3, %f4, %f1, %f2, %f3, %f4}",
        "atom.global.add.u32 %r1, [%rd1], %r2",
        "red.global.add.u32 [%rd1], %r2",
        "bar.sync 1",
        "bar.sync 0, 64",
        "bar.red.popc.u32 %r1, 0, %p1",
        "barrier.sync.aligned 0",
        "shfl.bfly.b32 %r1, %r2, %r3, %r4",
        "shfl.sync.bfly.b32 %r1, %r2, %r3, %r4, %r1",
        "vote.sync.any.pred %p1, %p2, -1",
        "cp.async.bulk.commit_group",
        "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 %r1, %r2, %r3, %r4",
        "mov.u32 %r1, %smid",
        "mov.u32 %r1, 017",
        "mov.u64 %rd1, {%rd2, %rd3}",
        "call.uni foo, (%r1)",
        "brx.idx %r1, table",
        "exit",
    ],
)
def test_an_unknown_instruction_is_an_error(instruction):
    translate(text("add.s32 %r1, %r2, %r3;"))
    with pytest.raises(KernelError) as caught:
        translate(text(f"{instruction};"))
    assert caught.value.message.endswith(f"no translation to C++: the instruction {instruction}")
    assert "unset GPUCNN_SIM_FROM" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("body", "variables", "behind", "said"),
    [
        ("", ".global .align 4 .b8 table[8];", "", ".global .align 4 .b8 table[8];"),
        ("", ".const .align 4 .f32 one = 0f3F800000;", "", ".const"),
        ("", ".extern .func (.param .b32 r) vprintf (.param .b64 f);", "", ".extern .func"),
        ("", "", ".visible .entry other() { ret; }", ".visible .entry other()"),
        (".local .align 4 .b8 __local_depot0[8];", "", "", ".local .align 4"),
        ("call.uni (r), f, (x);", "", "", "call.uni"),
    ],
)
def test_an_unknown_directive_is_an_error(body, variables, behind, said):
    with pytest.raises(KernelError) as caught:
        translate(text(body, variables, behind))
    assert said in caught.value.message


def test_a_text_without_a_kernel_is_an_error():
    with pytest.raises(KernelError, match="without a kernel"):
        translate(".version 8.8\n.target sm_80\n")
