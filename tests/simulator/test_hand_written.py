"""PTX that is written by hand: memory, moves, branches, warps.

tests/simulator/test_opcodes.py has the computations.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from selection import slow_except

from gpucnn.errors import KernelError

# %x and %y are the addresses of a thread's first elements, %t is its number.
REGISTERS = """
    .reg .pred %p<4>; .reg .b16 %rs<8>; .reg .b32 %r<8>; .reg .b64 %rd<8>;
    .reg .f32 %f<8>; .reg .f64 %fd<8>;
    .reg .b64 %x; .reg .b64 %y; .reg .b32 %t; .reg .b64 %offset;
    ld.param.u64 %x, [x]; ld.param.u64 %y, [y]; mov.u32 %t, %tid.x;
"""
OWN = "mul.wide.u32 %offset, %t, {size}; add.s64 %x, %x, %offset; add.s64 %y, %y, %offset;"
C_TYPES = {
    "uint8": "unsigned char", "int32": "int", "uint32": "unsigned int",
    "uint64": "unsigned long long", "float32": "float", "float64": "double",
}  # fmt: skip


@pytest.fixture
def run(execute, simulator):
    """Runs a body on an array x of one element a thread, or more, and returns y, as large."""

    def run(body, x, size=0, threads=32, dtype=None, y_shape=None, **options):
        launcher = simulator(compiled_from="ptx")
        y = launcher.empty(y_shape or x.shape, dtype or x.dtype)
        names = C_TYPES[x.dtype.name], C_TYPES[y.dtype.name]
        parameters = "const {} *x, {} *y".format(*names)
        whole = REGISTERS + OWN.format(size=size or x[0].nbytes) + body + "ret;"
        execute(whole, parameters, launcher.asarray(x), y, threads=threads, **options)
        return launcher.to_numpy(y)

    return run


# ---- memory ------------------------------------------------------------------------------------

KINDS = {  # register, dtype
    "u8": ("rs", "uint8"), "b8": ("rs", "uint8"),
    "u32": ("r", "uint32"), "b32": ("r", "uint32"), "s32": ("r", "int32"),
    "u64": ("rd", "uint64"), "b64": ("rd", "uint64"), "f32": ("f", "float32"),
    "f64": ("fd", "float64"),
}  # fmt: skip


SPACES = ("global", "global.nc", "shared")
ACCESSES = list(itertools.product(KINDS, (1, 2, 4), SPACES))


QUICK = (("u8", 4, "global.nc"), ("f32", 1, "global"), ("f32", 4, "shared"))


@pytest.mark.parametrize("access", slow_except(ACCESSES, *QUICK))
def test_loads_and_stores(run, rng, access):
    """Element i of a thread goes to the next thread's element i + 1, in a circle, by way of shared
    memory in the third case."""
    type_, count, space = access
    register, dtype = KINDS[type_]
    x = (rng.standard_normal((32, count)) * 100).astype(np.int8).astype(dtype)
    names = [f"%{register}{i}" for i in range(count)]
    first, then = names, names[1:] + names[:1]
    if count > 1:
        first, then = (["{" + ", ".join(group) + "}"] for group in (first, then))
        kind = f"v{count}.{type_}"
    else:
        kind = type_
    body = f"ld.{space.replace('shared', 'global')}.{kind} {first[0]}, [%x];"
    if space == "shared":
        body = f"""
            .shared .align 32 .b8 row[1024];
            mov.u64 %rd6, row; add.s64 %rd7, %rd6, %offset;
            {body} st.shared.{kind} [%rd7], {first[0]}; bar.sync 0;
            add.s32 %t, %t, 1; and.b32 %t, %t, 31;
            mul.wide.u32 %offset, %t, {x[0].nbytes}; add.s64 %rd7, %rd6, %offset;
            ld.shared.{kind} {first[0]}, [%rd7];
        """
    got = run(f"{body} st.global.{kind} [%y], {then[0]};", x)
    want = np.roll(x, -1, 0) if space == "shared" else x
    np.testing.assert_array_equal(got, np.roll(want, -1, 1))


def test_a_wider_register_gets_zeros_or_the_sign(run):
    x = np.array([200, 100], np.uint8)
    body = """
        ld.global.u8 %r1, [%x]; ld.global.s8 %r2, [%x];
        mul.wide.u32 %offset, %t, 7; add.s64 %y, %y, %offset;
        st.global.u32 [%y], %r1; st.global.u32 [%y+4], %r2;
    """
    got = run(body, x, threads=2, dtype=np.int32, y_shape=(2, 2))
    np.testing.assert_array_equal(got, [[200, 200 - 256], [100, 100]])


def test_offsets_of_an_address(run):
    x = np.arange(96, dtype=np.float32).reshape(32, 3)
    body = """
        add.s64 %rd1, %x, 8;
        ld.global.f32 %f1, [%rd1+-8]; ld.global.f32 %f2, [%x+4]; ld.global.f32 %f3, [%rd1];
        st.global.f32 [%y+8], %f1; st.global.f32 [%y+4], %f2; st.global.f32 [%y], %f3;
    """
    np.testing.assert_array_equal(run(body, x), x[:, ::-1])


@pytest.mark.parametrize("lower_half", [False, True], ids=["64 bits", "32 bits"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_addresses_of_shared_memory(run, dynamic, lower_half):
    """Generic and of the state space; inline assembly is given the lower half."""
    x = np.arange(32, dtype=np.float32)
    variable = "row[128];" if not dynamic else "row[];"
    place = f".shared .align 4 .b8 {variable}"
    address = "%r7" if lower_half else "%rd6"
    body = f"""
        {"" if dynamic else place}
        mov.u64 %rd1, row; cvta.shared.u64 %rd2, %rd1; add.s64 %rd3, %rd2, %offset;
        cvta.to.shared.u64 %rd6, %rd3; cvt.u32.u64 %r7, %rd6;
        cp.async.ca.shared.global [{address}], [%x], 4; cp.async.commit_group;
        cp.async.wait_group 0; bar.sync 0; ld.shared.f32 %f2, [{address}];
        st.global.f32 [%y], %f2;
    """
    variables = f".extern {place}" if dynamic else ""
    got = run(body, x, variables=variables, shared=128 * dynamic)
    np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("done", [0, 1, 2])
def test_asynchronous_copies(run, done):
    """A copy arrives at the wait; what a copy leaves out is zero."""
    x = np.arange(1, 5, dtype=np.float32)
    body = f"""
        .shared .align 16 .b8 row[32];
        mov.u64 %rd1, row; mov.u32 %r1, 8;
        cp.async.ca.shared.global [%rd1], [%x], 8; cp.async.commit_group;
        cp.async.cg.shared.global [%rd1+16], [%x], 16, %r1; cp.async.commit_group;
        cp.async.wait_group {2 - done};
        ld.shared.v4.f32 {{%f0, %f1, %f2, %f3}}, [%rd1];
        ld.shared.v4.f32 {{%f4, %f5, %f6, %f7}}, [%rd1+16];
        st.global.v4.f32 [%y], {{%f0, %f1, %f2, %f3}};
        st.global.v4.f32 [%y+16], {{%f4, %f5, %f6, %f7}};
    """
    got = run(body, x, threads=1, y_shape=(2, 4))
    first = [1, 2] if done > 0 else [np.nan] * 2
    second = [1, 2, 0, 0] if done > 1 else [np.nan] * 4
    np.testing.assert_array_equal(got, [[*first, np.nan, np.nan], second])


def test_what_is_not_written_is_poison(run):
    """Registers hold NaN, or -1, and so does shared memory."""
    body = """
        .shared .align 4 .b8 row[4];
        mov.u64 %rd1, row; ld.shared.f32 %f2, [%rd1]; cvt.rn.f32.s32 %f3, %r5;
        cvt.rn.f32.f64 %f4, %fd1; selp.f32 %f5, 0f3F800000, 0f00000000, %p1;
        st.global.v4.f32 [%y], {%f1, %f2, %f3, %f4}; st.global.f32 [%y+16], %f5;
    """
    got = run(body, np.zeros(1, np.float32), threads=1, y_shape=(5,))
    np.testing.assert_array_equal(got, [np.nan, np.nan, -1, np.nan, 1])


@pytest.mark.parametrize("which", ["ld", "st"])
def test_a_misaligned_address_is_an_error(run, simulator, which):
    """UBSan looks for nothing else in PTX, which has no types, and whose integers wrap around."""
    if "clang" in simulator().describe()["compiler"]:
        pytest.skip("clang does not look at the address of a struct that is copied as a whole")
    vector = "{%f1, %f2, %f3, %f4}"
    body = {
        "ld": f"ld.global.v4.f32 {vector}, [%x+4];",
        "st": f"st.global.v4.f32 [%y+8], {vector};",
    }[which]
    x = np.zeros(8, np.float32)
    with pytest.raises(KernelError, match="touches memory at a null or misaligned address"):
        run(body, x, threads=1, sanitize="undefined")
    run(body.replace("+4", "").replace("+8", ""), x, threads=1, sanitize="undefined")


# ---- moves, special registers, branches --------------------------------------------------------


def test_halves(run):
    x = np.array([0x0123456789ABCDEF, 0xFEDCBA9876543210], np.uint64)
    body = """
        ld.global.u64 %rd1, [%x];
        mov.b64 {%r1, %r2}, %rd1; mov.b32 {%rs1, %rs2}, %r1; mov.b32 %r1, {%rs2, %rs1};
        { .reg .b32 half; mov.b64 {half, %r2}, %rd1; }
        mov.b64 %rd1, {%r2, %r1};
        st.global.u64 [%y], %rd1;
    """
    got = run(body, x, threads=2)
    want = [0xCDEF89AB01234567, 0x32107654FEDCBA98]
    np.testing.assert_array_equal(got, np.array(want, np.uint64))


def test_bits_of_floats(run, rng):
    x = rng.standard_normal(32)
    body = """
        ld.global.f64 %fd1, [%x];
        mov.b64 %rd1, %fd1; mov.b64 {%r1, %r2}, %fd1; mov.b32 %f1, %r1; mov.b32 %r3, %f1;
        mov.b64 %fd2, {%r3, %r2}; st.global.f64 [%y], %fd2;
    """
    np.testing.assert_array_equal(run(body, x), x)


def test_immediates(run):
    body = """
        mov.u32 %r1, -2; mov.u32 %r2, 0x3340U; mov.u32 %r3, 7U; mov.u16 %rs4, -1;
        mov.u64 %rd5, 0xFEDCBA9876543210; mov.b32 %r4, 0fC0490FDB; cvt.u32.u16 %r5, %rs4;
        st.global.v4.u32 [%y], {%r1, %r2, %r3, %r4}; st.global.u32 [%y+16], %r5;
        st.global.u64 [%y+24], %rd5;
    """
    got = run(body, np.zeros(8, np.uint32), threads=1)
    pi = np.float32(-np.pi).view(np.uint32)
    want = [2**32 - 2, 0x3340, 7, pi, 0xFFFF, 2**32 - 1, 0x76543210, 0xFEDCBA98]
    np.testing.assert_array_equal(got, want)


def test_special_registers(run, simulator, execute):
    body = """
        mov.u32 %r1, %ntid.x; mov.u32 %r2, %laneid; mov.u32 %r3, %ctaid.x; mov.u32 %r4, %nctaid.y;
        mov.u64 %rd1, %clock64; mov.u64 %rd2, %clock64; setp.gt.u64 %p1, %rd2, %rd1;
        selp.u32 %r5, 1, 0, %p1; mov.u32 %r6, %tid.y;
        st.global.v4.u32 [%y], {%r1, %r2, %r3, %r4}; st.global.v2.u32 [%y+16], {%r5, %r6};
    """
    got = run(body, np.zeros(64, np.uint32), size=24, threads=64, y_shape=(64, 6))
    np.testing.assert_array_equal(got, [[64, t % 32, 0, 1, 1, 0] for t in range(64)])


def test_branches_and_guards(run):
    """x + (x - 1) + ... + 1, and for odd x the negative of it."""
    x = np.arange(32, dtype=np.int32)
    body = """
        ld.global.u32 %r1, [%x]; mov.u32 %r2, 0; and.b32 %r3, %r1, 1;
        setp.eq.s32 %p2, %r3, 0;
    $L__AGAIN:
        setp.lt.s32 %p1, %r1, 1;
        @%p1 bra $L__DONE;
        add.s32 %r2, %r2, %r1; add.s32 %r1, %r1, -1;
        bra.uni $L__AGAIN;
    $L__DONE:
        @!%p2 neg.s32 %r2, %r2;
        st.global.u32 [%y], %r2;
    """
    sums = x * (x + 1) // 2
    np.testing.assert_array_equal(run(body, x), np.where(x % 2, -sums, sums))


# ---- warps -------------------------------------------------------------------------------------


def shuffled(mode, b, c, lanes):
    """The lane that each lane reads, and whether it is in its segment (PTX ISA, shfl.sync)."""
    clamp, segment = c & 31, c >> 8 & 31
    last = (lanes & segment) | (clamp & ~segment)
    first = lanes & segment
    source, valid = {
        "up": lambda: (lanes - b, lanes - b >= last),
        "down": lambda: (lanes + b, lanes + b <= last),
        "bfly": lambda: (lanes ^ b, (lanes ^ b) <= last),
        "idx": lambda: (first | (b & ~segment), (first | (b & ~segment)) <= last),
    }[mode]()
    return np.where(valid, source, lanes), valid


@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
def test_shuffles(run, rng, mode):
    body = f"""
        ld.global.v2.u32 {{%r1, %r2}}, [%x]; ld.global.u32 %r3, [%x+8]; mov.u32 %r4, -1;
        shfl.sync.{mode}.b32 %r5|%p1, %r1, %r2, %r3, %r4;
        selp.u32 %r6, 1, 0, %p1; st.global.v2.u32 [%y], {{%r5, %r6}};
    """
    values, lanes = rng.integers(0, 1 << 32, 32, np.uint32), np.arange(32)
    for c in (31, 0, 0x1C1F, 0x1C03, 0x101F, 0x1000, 0x1807):
        for b in (0, 1, 5, 16, 31):
            x = np.stack([values, *np.full((3, 32), [[b], [c], [0]])], 1).astype(np.uint32)
            source, valid = shuffled(mode, b, c, lanes)
            np.testing.assert_array_equal(run(body, x)[:, :2], np.stack([values[source], valid], 1))
