"""What the tests of all backends do not reach in the kernels: each path through them.

Packs of four and single elements, offsets of 32 and 64 bits, reductions in one part and in many.
They run on the simulator, whose fresh memory is NaN, so that an element that is not written shows;
or on the GPUs that `--device` names.
"""

from __future__ import annotations

import numpy as np
import pytest
import reference
from calls import KEY, Calls
from checks import UNIT_ROUNDOFF, assert_close, assert_same_bits
from selection import slow_except

import gpucnn.backend
from gpucnn import Tensor, random
from gpucnn import functions as F
from gpucnn.errors import DtypeError, ShapeError, UsageError

CPU = gpucnn.backend.get("cpu")


def misaligned(gpu, array):
    """The array on the device, contiguous, one element behind where a pack could begin."""
    behind = np.empty(array.size + 1, array.dtype)
    behind[1:] = array.ravel()
    view = gpu.asarray(behind)[1:].reshape(array.shape)
    assert view.flags.c_contiguous
    assert gpu.launcher.address(view) % (2 * array.itemsize)
    return view


def aligned(gpu, array):
    return gpu.asarray(array.copy())


@pytest.fixture(params=[aligned, misaligned])
def place(request, gpu):
    """Puts a NumPy array on the device."""
    return lambda array: request.param(gpu, array)


MINE = sorted(name for name in Calls(np.asarray).calls if not name.startswith(("conv2d", "matmul")))


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize("dtype", slow_except(["float32", "float64"], "float32"))
def test_wide_offsets_give_the_same_bits(gpu, dtype, name, monkeypatch):
    call = Calls(gpu.asarray, dtype=dtype).calls[name]
    want = [gpu.to_numpy(array) for array in call(gpu)]
    monkeypatch.setattr(gpu.launcher, "wide", True)
    for got, expected in zip(call(gpu), want, strict=True):
        assert_same_bits(gpu.to_numpy(got), expected, name)


@pytest.mark.parametrize("name", sorted(Calls(np.asarray).calls))
def test_one_array_alone_is_not_aligned(gpu, name):
    """A pack of four is read only where all arrays allow it, whichever it is that does not."""

    def results(which):
        placed = []  # in the same order each time

        def place(array):
            placed.append((misaligned if len(placed) == which else aligned)(gpu, array))
            return placed[-1]

        got = [gpu.to_numpy(array) for array in Calls(place).calls[name](gpu)]
        return got, len(placed)

    want, count = results(None)
    for which in range(count):
        for got, expected in zip(results(which)[0], want, strict=True):
            assert_same_bits(got, expected, f"{name}, array {which}")


# ---- passes over flat arrays -------------------------------------------------------------------

SIZES = [1, 2, 3, 4, 5, 7, 8, 1021, 1024]


@pytest.mark.parametrize("size", SIZES)
def test_relu_backward(gpu, place, dtype, rng, size):
    y, grad = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    y[::5] = np.nan
    got = gpu.to_numpy(gpu.relu_backward(place(grad), place(y)))
    assert_same_bits(got, np.where(y > 0, grad, 0).astype(dtype))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [0, 7, 2**32 - 1])
def test_philox_gives_the_bits_of_random(gpu, size, step):
    out = gpu.asarray(np.full(size + 8, 0xAAAAAAAA, dtype=np.uint32))
    key = random.stream_key(2026, "dropout/dropout1")
    blocks = -(-size // (4 * 32)) + 1  # one too many: its threads must write nothing
    at = gpu.asarray(np.array([step], dtype=np.uint32))
    gpu.launcher.launch("philox", "philox_bits", blocks, 32, out, size, *key, at)
    want = random.bits(size, 2026, "dropout/dropout1", step)
    assert_same_bits(gpu.to_numpy(out)[:size], want)
    np.testing.assert_array_equal(gpu.to_numpy(out)[size:], 0xAAAAAAAA)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_dropout_draws_the_bits_of_random(gpu, place, dtype, rng, size, rate):
    x = rng.standard_normal(size).astype(dtype)
    x[size // 2] = np.nan
    for step in (0, 2**32 - 1):
        y, mask = gpu.dropout_forward(place(x), rate, key=KEY, step=step)
        kept = gpu.to_numpy(mask)
        assert_same_bits(kept, random.dropout_mask(size, rate, KEY, step), "mask")
        scaled = (x * x.dtype.type(1 / (1 - rate))).astype(dtype)
        assert_same_bits(gpu.to_numpy(y), np.where(kept, scaled, 0).astype(dtype), "y")
        back = gpu.to_numpy(gpu.dropout_backward(place(x), place(kept), rate))
        assert_same_bits(back, gpu.to_numpy(y), "grad_x")


def test_an_element_is_kept_below_the_threshold_only(gpu):
    """Rates at which the threshold is the very number that an element has drawn."""
    key = random.stream_key(2026, "dropout/dropout1")
    x = gpu.asarray(np.ones(8, dtype=np.float32))
    for element, bits in enumerate(random.bits(8, 2026, "dropout/dropout1", 0)):
        for threshold, kept in ((int(bits), 0), (int(bits) + 1, 1)):
            _, mask = gpu.dropout_forward(x, 1 - threshold / 2**32, key=key, step=0)
            assert gpu.to_numpy(mask)[element] == kept


def test_a_dropout_step_beyond_the_counter(gpu):
    x = gpu.asarray(np.ones(4, dtype=np.float32))
    for step in (2**32, -1):
        with pytest.raises(UsageError, match=str(step)):
            gpu.dropout_forward(x, 0.5, key=KEY, step=step)


UPDATES = {
    "sgd": (0, {}),
    "momentum": (1, {"momentum": 0.9, "weight_decay": 0.1}),
    "nesterov": (1, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (1, {"weight_decay": 0.1}),
    "adam": (2, {"step": 3, "weight_decay": 0.1}),
    "adamw": (2, {"step": 3, "weight_decay": 0.1, "decoupled": True}),
}


def update(backend, name, arrays, **options):
    slots, given = UPDATES[name]
    kind = {"momentum": "sgd", "nesterov": "sgd", "adamw": "adam"}.get(name, name)
    arrays = [*arrays[: 2 + slots], *([None] if name == "sgd" else [])]
    getattr(backend, f"{kind}_update")(*arrays, learning_rate=0.0625, **given, **options)


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("size", [1, 5, 8, 1021])
def test_updates_write_their_elements_and_no_others(gpu, place, dtype, rng, name, size):
    """In the middle of a longer array, as parameters in one block of memory would lie."""
    slots = UPDATES[name][0]
    whole = [np.abs(rng.standard_normal(size + 8)).astype(dtype) for _ in range(2 + slots)]
    there = [place(array) for array in whole]
    update(gpu, name, [array[4 : 4 + size] for array in there])
    want = [array[4 : 4 + size].copy() for array in whole]
    update(CPU, name, want)
    for got, before, expected in zip(there, whole, want, strict=True):
        got = gpu.to_numpy(got)
        assert_same_bits(got[:4], before[:4])
        assert_same_bits(got[4 + size :], before[4 + size :])
        assert_close(got[4 : 4 + size], expected.astype(np.float64), terms=16, what=name)


@pytest.mark.parametrize("name", UPDATES)
def test_numbers_are_as_good_as_arrays_of_the_device(gpu, rng, name):
    arrays = [np.abs(rng.standard_normal(9)).astype(np.float32) for _ in range(4)]
    plain, stopped, running = ([gpu.asarray(a) for a in arrays] for _ in range(3))
    update(gpu, name, plain)
    update(gpu, name, stopped, found_inf=1)
    update(gpu, name, running, found_inf=gpu.asarray(np.zeros(1, dtype=np.uint32)))
    for a, b, c, before in zip(plain, stopped, running, arrays, strict=True):
        assert_same_bits(gpu.to_numpy(a), gpu.to_numpy(c))
        assert_same_bits(gpu.to_numpy(b), before)
    assert (gpu.to_numpy(plain[0]) != arrays[0]).all()


def test_adam_counts_from_one(gpu):
    arrays = [gpu.asarray(np.ones(3)) for _ in range(4)]
    with pytest.raises(UsageError, match="step is 0"):
        gpu.adam_update(*arrays, learning_rate=0.1, step=0)


# ---- class ids and indices ---------------------------------------------------------------------

OUTSIDE = [("int8", -1), ("int64", 2**32 + 1), ("int64", -(2**32) + 1), ("int64", 3)]
OUTSIDE += [("uint32", 2**32 - 1), ("uint64", 2**63 + 1), ("uint8", 255), ("int32", -(2**31))]
# These are not converted: the kernels themselves see them, just outside.
OUTSIDE += [("int32", 3), ("int32", -1), ("int32", 2**31 - 1)]


@pytest.mark.parametrize(("index_type", "outside"), OUTSIDE)
def test_an_index_out_of_range_does_not_wrap_around(gpu, rng, index_type, outside):
    """2**32 + 1 would be 1 in 32 bits. Nothing beyond an array is read: see `address` in .ci."""
    ids = gpu.asarray(np.array([1, outside, 2], dtype=index_type))
    wrong = [False, True, False]
    logits = gpu.asarray(rng.standard_normal((3, 3)))
    losses, probabilities = gpu.softmax_cross_entropy_forward(logits, ids)
    np.testing.assert_array_equal(np.isnan(gpu.to_numpy(losses)), wrong)
    assert np.isfinite(gpu.to_numpy(probabilities)).all()
    grad = gpu.softmax_cross_entropy_backward(probabilities, ids, gpu.asarray(np.ones(3)))
    np.testing.assert_array_equal(np.isnan(gpu.to_numpy(grad)), np.outer(wrong, [True] * 3))
    loss = F.softmax_cross_entropy(Tensor(logits), ids)
    assert np.isnan(loss.numpy())  # the host did not look; a training finds it when it reads

    totals = gpu.asarray(np.zeros(2))
    answers = gpu.asarray(np.eye(3)[[1, 1, 0]])
    gpu.accumulate_metrics(totals, gpu.asarray(np.ones(3)), answers, ids)
    assert gpu.to_numpy(totals).tolist() == [3, 1]

    rows = gpu.to_numpy(gpu.gather_rows(logits, ids))
    np.testing.assert_array_equal(rows[[0, 2]], gpu.to_numpy(logits)[[1, 2]])
    assert np.isnan(rows[1]).all()

    dataset = rng.integers(0, 256, (3, 5)).astype(np.uint8)
    batch = gpu.to_numpy(gpu.gather(gpu.asarray(dataset), ids))
    np.testing.assert_array_equal(batch[[0, 2]], dataset[[1, 2]])
    assert np.isnan(batch[1]).all()


@pytest.mark.parametrize("pixels", [1, 3, 4, 6, 784])
def test_gather_of_rows_of_any_length(gpu, place, rng, pixels):
    dataset = rng.integers(0, 256, (7, pixels)).astype(np.uint8)
    indices = np.array([6, 0, 7, 3], dtype=np.int32)
    got = gpu.to_numpy(gpu.gather(place(dataset), place(indices), scale=0.5, offset=-3.0))
    want = dataset[[6, 0, 0, 3]] * np.float32(0.5) - 3
    want[2] = np.nan
    np.testing.assert_array_equal(got, want)


def test_gather_of_more_than_32_bits_count(gpu):
    """Rows that begin beyond 2 GiB. Memory of zeros that nobody reads costs nothing."""
    rows, pixels = 2**21 + 2, 1024
    dataset = gpu.xp.zeros((rows, pixels), np.uint8)
    dataset[rows - 1, pixels - 3] = 7
    indices = np.array([0, rows - 1, rows, rows - 1], dtype=np.int32)
    got = gpu.to_numpy(gpu.gather(dataset, gpu.asarray(indices)))
    want = np.zeros((4, pixels), dtype=np.float32)
    want[[1, 3], pixels - 3] = 7
    want[2] = np.nan
    np.testing.assert_array_equal(got, want)


def test_gather_from_nothing(gpu):
    empty = gpu.asarray(np.zeros((0, 2, 3), dtype=np.uint8))
    got = gpu.to_numpy(gpu.gather(empty, gpu.asarray(np.array([0, 1]))))
    np.testing.assert_array_equal(got, np.full((2, 2, 3), np.nan))


@pytest.mark.parametrize("classes", [1, 31, 32, 33, 1000])
def test_softmax_of_rows_of_any_length(gpu, place, dtype, rng, classes):
    logits = (3 * rng.standard_normal((11, classes))).astype(dtype)
    labels = rng.integers(0, classes, 11)
    losses, probabilities = gpu.softmax_cross_entropy_forward(place(logits), gpu.asarray(labels))
    want_losses, want_probabilities = reference.softmax_cross_entropy_forward(logits, labels)
    assert_close(gpu.to_numpy(losses), want_losses, classes)
    assert_close(gpu.to_numpy(probabilities), want_probabilities, classes)


def test_logits_that_are_not_finite(gpu):
    inf, nan = np.inf, np.nan
    rows = [[0, -inf, 1], [-inf, 0, 0], [inf, 0, 0], [0, inf, 0], [-inf] * 3, [0, nan, 1]]
    logits, labels = np.array(rows, dtype=np.float32), np.zeros(len(rows), dtype=np.int32)
    got = gpu.softmax_cross_entropy_forward(gpu.asarray(logits), gpu.asarray(labels))
    for array, want in zip(got, CPU.softmax_cross_entropy_forward(logits, labels), strict=True):
        np.testing.assert_allclose(gpu.to_numpy(array), want, rtol=4 * UNIT_ROUNDOFF["float32"])


# ---- pooling -----------------------------------------------------------------------------------

WINDOWS = [
    (2, {}),
    (2, {"padding": ((0, 1), (0, 1))}),
    (2, {"padding": 1}),
    (2, {"stride": 1}),
    (3, {"stride": 2}),
    (3, {"stride": 2, "padding": 1}),
    (3, {"stride": 2, "padding": ((0, 1), (0, 1))}),
    (3, {"stride": 2, "padding": ((1, 0), (0, 1))}),
    (3, {"stride": 1, "padding": 1}),
    ((3, 2), {"stride": (3, 5)}),
    ((4, 5), {"stride": 4, "padding": (0, 4)}),
]
IMAGES = [(2, 3, 8, 12), (1, 2, 7, 16), (2, 1, 9, 8), (1, 3, 5, 10), (3, 1, 6, 7), (2, 2, 4, 9)]


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize(("kernel", "options"), WINDOWS)
def test_max_pooling_is_that_of_the_cpu(gpu, place, dtype, rng, shape, kernel, options):
    """The same maxima, argmax and sums, with ties, NaN and infinities."""
    values = np.array([-np.inf, -2, -1, 1, 2, 3, np.inf, np.nan], dtype=dtype)
    x = rng.choice(values, shape, p=[0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    y, argmax = gpu.max_pool2d_forward(place(x), kernel, **options)
    want, want_argmax = CPU.max_pool2d_forward(x, kernel, **options)
    np.testing.assert_array_equal(gpu.to_numpy(y), want)
    assert_same_bits(gpu.to_numpy(argmax), want_argmax, "argmax")
    grad = rng.standard_normal(want.shape).astype(dtype)
    got = gpu.max_pool2d_backward(place(grad), place(want_argmax), shape, kernel, **options)
    want = CPU.max_pool2d_backward(grad, want_argmax, shape, kernel, **options)
    assert_same_bits(gpu.to_numpy(got), want, "grad_x")


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize(("kernel", "options"), WINDOWS)
@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_the_argmax_of_a_window_without_a_maximum(gpu, shape, kernel, options, value):
    """The first tap inside the image, also where the window begins in the padding."""
    x = np.full(shape, value, dtype=np.float32)
    _, argmax = gpu.max_pool2d_forward(gpu.asarray(x), kernel, **options)
    assert_same_bits(gpu.to_numpy(argmax), CPU.max_pool2d_forward(x, kernel, **options)[1])


@pytest.mark.parametrize(("kernel", "name"), [((16, 16), "uint8"), ((16, 17), "int32")])
def test_the_number_of_the_last_tap_fits(gpu, kernel, name):
    x = np.zeros((2, 1, 32, 34), dtype=np.float32)
    x[..., kernel[0] - 1, kernel[1] - 1] = 1
    _, argmax = gpu.max_pool2d_forward(gpu.asarray(x), kernel)
    want, want_argmax = CPU.max_pool2d_forward(x, kernel)
    assert argmax.dtype == name
    assert_same_bits(gpu.to_numpy(argmax), want_argmax)
    grad = gpu.max_pool2d_backward(gpu.asarray(want), argmax, x.shape, kernel)
    np.testing.assert_array_equal(gpu.to_numpy(grad), x)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize(("kernel", "options"), WINDOWS)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average_pooling_adds_up_as_the_cpu_does(
    gpu, place, rng, shape, kernel, options, count_include_pad
):
    options = {**options, "count_include_pad": count_include_pad}
    x = rng.standard_normal(shape)
    y = gpu.to_numpy(gpu.avg_pool2d_forward(place(x), kernel, **options))
    want = CPU.avg_pool2d_forward(x, kernel, **options)
    np.testing.assert_allclose(y, want, rtol=0, atol=4 * UNIT_ROUNDOFF["float64"])
    got = gpu.to_numpy(gpu.avg_pool2d_backward(place(want), shape, kernel, **options))
    assert_same_bits(got, CPU.avg_pool2d_backward(want, shape, kernel, **options))


@pytest.mark.parametrize("kernel", [(7, 7), (4, 9), (40, 1), (1, 40), (33, 40)])
@pytest.mark.parametrize("padding", [0, ((2, 3), (0, 0)), "same"])
def test_a_warp_shares_a_large_window(gpu, dtype, rng, kernel, padding):
    x = rng.standard_normal((2, 3, 41, 45)).astype(dtype)
    if kernel[0] == 1 and padding != "same":
        padding = 0
    for include in (True, False):
        options = {"padding": padding, "count_include_pad": include}
        got = gpu.to_numpy(gpu.avg_pool2d_forward(gpu.asarray(x), kernel, **options))
        want = reference.avg_pool2d_forward(x, kernel, **options)
        assert_close(got, want, terms=kernel[0] * kernel[1])


# ---- reductions over the channels --------------------------------------------------------------

# (N, C, ...): one part and many, a channel a block and 32 side by side, packs and single elements.
CHANNELS = [
    (33, 5), (200, 33), (5000, 3), (2, 3, 4), (2, 2, 3, 5), (1, 2, 150, 200), (300, 3, 7, 7),
    (40, 40, 12, 12), (3, 1, 1, 2), (1000, 2, 5),
]  # fmt: skip


def test_the_shapes_are_cut_in_one_part_and_in_many(gpu):
    parts = {gpu._reduction(np.empty(shape, np.uint8)).parts > 1 for shape in CHANNELS}
    assert parts == {False, True}


def check_bias_grad(gpu, place, dtype, rng, shape):
    grad = rng.standard_normal(shape).astype(dtype)
    got = gpu.bias_grad(place(grad))
    want = grad.astype(np.float64).swapaxes(0, 1).reshape(shape[1], -1)
    # Relative to the size of what is added up, as the sums themselves may be near zero.
    error = np.abs(gpu.to_numpy(got) - want.sum(axis=1))
    terms = want.shape[1]
    bound = 4 * UNIT_ROUNDOFF[dtype] * np.sqrt(terms) * np.linalg.norm(want, axis=1)
    assert (error <= bound).all()
    # The order of the additions follows from the shape alone, not from where the array lies.
    again = gpu.bias_grad(misaligned(gpu, grad))
    assert_same_bits(gpu.to_numpy(again), gpu.to_numpy(got), "again")


@pytest.mark.parametrize("shape", CHANNELS)
def test_bias_grad(gpu, place, dtype, rng, shape):
    check_bias_grad(gpu, place, dtype, rng, shape)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (0, 3), (2, 3, 0), (5, 0), (2, 0, 3)])
def test_bias_grad_of_nothing_is_zero(gpu, dtype, shape):
    got = gpu.to_numpy(gpu.bias_grad(gpu.asarray(np.ones(shape, dtype=dtype))))
    assert_same_bits(got, np.zeros(shape[1], dtype=dtype))


def check_batch_norm(gpu, place, dtype, rng, shape):
    x, grad = (1 + 2 * rng.standard_normal(shape).astype(dtype) for _ in range(2))
    gamma, beta = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    terms = x[:, 0].size
    y, mean, var = gpu.batch_norm_forward(place(x), place(gamma), place(beta))
    for got, want in zip((y, mean, var), reference.batch_norm_forward(x, gamma, beta), strict=True):
        assert_close(gpu.to_numpy(got), want, terms)
    grads = gpu.batch_norm_backward(place(grad), place(x), place(gamma), mean, var)
    want = reference.batch_norm_backward(grad, x, gamma)
    for name, got, expected in zip(("grad_x", "gamma", "beta"), grads, want, strict=True):
        assert_close(gpu.to_numpy(got), expected, terms, name)


@pytest.mark.parametrize("shape", CHANNELS)
def test_batch_norm(gpu, place, dtype, rng, shape):
    check_batch_norm(gpu, place, dtype, rng, shape)


@pytest.mark.parametrize("shape", [(6000, 2), (3, 1, 230, 240)])
@pytest.mark.parametrize("check", [check_bias_grad, check_batch_norm])
def test_more_parts_than_a_warp_has_lanes(gpu, rng, shape, check, monkeypatch):
    """As on a large GPU, where a lane of the second stage adds up several parts."""
    monkeypatch.setattr(gpu.launcher, "multiprocessors", 132)
    assert gpu._reduction(np.empty(shape, np.uint8)).parts > 32
    check(gpu, gpu.asarray, "float32", rng, shape)


@pytest.mark.parametrize("shape", [(5000, 3), (300, 3, 7, 7), (40, 2, 12, 12)])
def test_the_variance_of_numbers_far_from_zero(gpu, rng, shape):
    """The mean is off by its rounding, 1000 u; each distance of about 1 from it by no more."""
    x = (1000 + rng.standard_normal(shape)).astype(np.float32)
    one = gpu.asarray(np.ones(shape[1], dtype=np.float32))
    _, mean, var = gpu.batch_norm_forward(gpu.asarray(x), one, one)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    exact = x.astype(np.float64)
    bound = 4 * 1000 * UNIT_ROUNDOFF["float32"]
    np.testing.assert_allclose(gpu.to_numpy(mean), exact.mean(axes), rtol=0, atol=bound)
    np.testing.assert_allclose(gpu.to_numpy(var), exact.var(axes), rtol=bound)


def test_one_element_a_channel_has_no_variance(gpu):
    x = gpu.asarray(np.array([[3.0, -1e30, 7.5]], dtype=np.float32))
    one = gpu.asarray(np.ones(3, dtype=np.float32))
    y, mean, var = gpu.batch_norm_forward(x, one, one)
    assert_same_bits(gpu.to_numpy(mean), gpu.to_numpy(x)[0])
    assert_same_bits(gpu.to_numpy(var), np.zeros(3, dtype=np.float32))
    assert_same_bits(gpu.to_numpy(y), np.ones((1, 3), dtype=np.float32))


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 4, 4)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_channel_that_is_not_finite_leaves_the_others_alone(gpu, rng, shape, value):
    x = rng.standard_normal(shape).astype(np.float32)
    x[1, 1] = value
    one = gpu.asarray(np.ones(3, dtype=np.float32))
    for array in gpu.batch_norm_forward(gpu.asarray(x), one, one):
        finite = np.isfinite(gpu.to_numpy(array))
        by_channel = finite if finite.ndim == 1 else finite.swapaxes(0, 1).reshape(3, -1).all(1)
        np.testing.assert_array_equal(by_channel, [True, False, True])


@pytest.mark.parametrize("name", ["step", "learning_rate", "found_inf"])
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda gpu: None, DtypeError),
        (lambda gpu: "0.1", DtypeError),
        (lambda gpu: np.ones(1, np.float32), DtypeError),  # of the host
        (lambda gpu: gpu.asarray(np.ones(0, np.float32)), ShapeError),
        (lambda gpu: gpu.asarray(np.ones(2, np.float32)), ShapeError),
    ],
    ids=["None", "str", "of the host", "empty", "two"],
)
def test_a_kernel_reads_one_number_where_one_is_given(gpu, name, make, error):
    """What it would read besides lies in memory that is not its own."""
    value = make(gpu)
    if name == "found_inf" and value is None:
        pytest.skip("that is its default")
    arrays = [gpu.asarray(np.ones(3, np.float32)) for _ in range(4)]
    with pytest.raises(error, match=name):
        gpu.adam_update(*arrays, **({"learning_rate": 0.1, "step": 1} | {name: value}))
    for array in arrays:
        np.testing.assert_array_equal(gpu.to_numpy(array), 1)


@pytest.mark.parametrize("step", [1.5, 2**32, float("inf")])
def test_a_step_that_is_no_integer_of_32_bits(gpu, step):
    arrays = [gpu.asarray(np.ones(3, np.float32)) for _ in range(4)]
    with pytest.raises(UsageError, match="step is"):
        gpu.adam_update(*arrays, learning_rate=0.1, step=step)
