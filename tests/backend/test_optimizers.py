"""Optimizer updates, in place, against a float64 loop over the elements."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_close, assert_same_bits

from gpucnn import models, ops, optim
from gpucnn.errors import DtypeError, ShapeError, UsageError

LEARNING_RATE = float(np.float32(0.05))
# A new parameter is a short chain of operations, not a sum: sixteen roundings at most.
ROUNDINGS = 16

SGD = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
]
RMSPROP = [{}, {"rho": 0.5, "eps": 1e-3}, {"weight_decay": 0.1}]
ADAM = [
    {},
    {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "decoupled": True},
]


def one(backend, value, dtype):
    return backend.asarray(np.array([value], dtype=dtype))


class Update:
    """One update rule: the primitive beside its oracle, over the same arrays."""

    def __init__(self, name, options, slots):
        self.name, self.options, self.slots = name, options, slots

    def device(self, backend, arrays, step, found_inf=None):
        extra = {"step": one(backend, step, "uint32")} if self.name == "adam" else {}
        result = getattr(backend, f"{self.name}_update")(
            *arrays,
            learning_rate=one(backend, LEARNING_RATE, "float32"),
            found_inf=found_inf,
            **extra,
            **self.options,
        )
        assert result is None

    def oracle(self, param, grad, *slots, step):
        extra = {"step": step} if self.name == "adam" else {}
        update = getattr(reference, self.name)
        return update(param, grad, *slots, lr=LEARNING_RATE, **extra, **self.options)


UPDATES = [
    *(Update("sgd", options, 1) for options in SGD),
    *(Update("rmsprop", options, 1) for options in RMSPROP),
    *(Update("adam", options, 2) for options in ADAM),
]


@pytest.fixture(params=UPDATES, ids=lambda u: f"{u.name} {u.options}")
def update(request):
    return request.param


def test_a_few_steps(backend, dtype, rng, update):
    shape = (6, 5)
    param = rng.standard_normal(shape).astype(dtype)
    there = backend.asarray(param)
    slots = [backend.asarray(np.zeros(shape, dtype=dtype)) for _ in range(update.slots)]
    want = [param.astype(np.float64), *(np.zeros(shape) for _ in slots)]
    for step in (1, 2, 3, 4):
        grad = rng.standard_normal(shape).astype(dtype)
        update.device(backend, [there, backend.asarray(grad), *slots], step)
        want = list(update.oracle(want[0], grad, *want[1:], step=step))
        assert_close(backend.to_numpy(there), want[0], ROUNDINGS * step, "parameter")
        if update.name != "sgd" or update.options.get("momentum"):
            for slot, expected in zip(slots, want[1:], strict=True):
                assert_close(backend.to_numpy(slot), expected, ROUNDINGS * step, "slot")


@pytest.mark.parametrize("step", [1, 2, 10, 1000, 100_000, 2**31])
def test_adam_s_bias_correction_is_accurate(backend, dtype, rng, step):
    """From a parameter of zero the result is the update alone: nothing hides its error.

    1 - 0.999**step loses 1e-5 of itself at step 1 when it is computed in float32.
    """
    shape = (40,)
    grad = rng.standard_normal(shape).astype(dtype)
    m, v = rng.standard_normal(shape).astype(dtype), rng.random(shape).astype(dtype)
    param = np.zeros(shape, dtype=dtype)
    there = [backend.asarray(a.copy()) for a in (param, grad, m, v)]
    update = Update("adam", {}, 2)
    update.device(backend, there, step)
    want = update.oracle(param, grad, m, v, step=step)
    assert_close(backend.to_numpy(there[0]), want[0], ROUNDINGS)


def test_found_inf_makes_it_a_no_op(backend, dtype, rng, update):
    arrays = [np.abs(rng.standard_normal((3, 4))).astype(dtype) for _ in range(2 + update.slots)]
    arrays[1][0, 0] = np.nan
    there = [backend.asarray(a.copy()) for a in arrays]
    update.device(backend, there, 3, found_inf=one(backend, 17, "uint32"))
    for array, original in zip(there, arrays, strict=True):
        assert_same_bits(backend.to_numpy(array), original)


def test_a_zero_flag_does_not_halt(backend, rng, update):
    arrays = [
        np.abs(rng.standard_normal((3, 4))).astype("float32") for _ in range(2 + update.slots)
    ]
    flagged, plain = ([backend.asarray(a.copy()) for a in arrays] for _ in range(2))
    update.device(backend, flagged, 3, found_inf=one(backend, 0, "uint32"))
    update.device(backend, plain, 3)
    for a, b in zip(flagged, plain, strict=True):
        assert_same_bits(backend.to_numpy(a), backend.to_numpy(b))
    assert (backend.to_numpy(plain[0]) != arrays[0]).any()


def test_the_gradient_is_left_alone(backend, rng, update):
    grad = rng.standard_normal((3, 4))
    arrays = [np.ones((3, 4)), grad.copy(), *[np.ones((3, 4))] * update.slots]
    there = [backend.asarray(a.copy()) for a in arrays]
    update.device(backend, there, 1)
    assert_same_bits(backend.to_numpy(there[1]), grad)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gradient_may_have_any_layout(backend, rng, update, layout):
    arrays = [np.abs(rng.standard_normal((3, 4))) for _ in range(2 + update.slots)]
    there = [arrange(backend, a, layout if i == 1 else "C") for i, a in enumerate(arrays)]
    update.device(backend, there, 2)
    want = update.oracle(*arrays, step=2)
    assert_close(backend.to_numpy(there[0]), want[0], ROUNDINGS)


@pytest.mark.parametrize("which", [0, 2], ids=["parameter", "slot"])
def test_what_is_changed_in_place_must_be_contiguous(backend, update, which):
    """Or else the update might fall on a copy, silently."""
    there = [backend.asarray(np.ones((3, 4))) for _ in range(2 + update.slots)]
    there[which] = backend.asarray(np.ones((4, 3))).T
    with pytest.raises(ShapeError, match="contiguous"):
        update.device(backend, there, 2)


def test_arrays_that_do_not_fit(backend, update):
    there = [backend.asarray(np.ones((3, 4))) for _ in range(2 + update.slots)]
    for which in range(1, len(there)):
        wrong = list(there)
        wrong[which] = backend.asarray(np.ones((4, 3)))
        with pytest.raises(ShapeError, match=r"\(4, 3\)"):
            update.device(backend, wrong, 2)
        wrong[which] = backend.asarray(np.ones((3, 4), dtype=np.float32))
        with pytest.raises(DtypeError, match="float32"):
            update.device(backend, wrong, 2)


def test_an_empty_and_a_scalar_parameter(backend, update):
    for shape in ((0,), (), (2, 0)):
        there = [backend.asarray(np.ones(shape)) for _ in range(2 + update.slots)]
        update.device(backend, there, 1)
        assert there[0].shape == shape


def several(backend, update, rng, shapes, dtypes):
    """Lists of parameters, gradients and slots; and the same, a list for each parameter."""
    rows = [
        [np.abs(rng.standard_normal(shape)).astype(dtype) for _ in range(2 + update.slots)]
        for shape, dtype in zip(shapes, dtypes, strict=True)
    ]
    there = [[backend.asarray(array.copy()) for array in row] for row in rows]
    return [list(column) for column in zip(*there, strict=True)], rows


# Of all sizes, from none to several blocks, and of both dtypes.
SIZES = [(3, 4), (0,), (1500,), (), (1024,), (1025,), (5, 1, 7), (2, 0), (4096, 2)]
DTYPES = ["float32", "float64", "float32"] * 3
MANY = [(1 + i % 7,) for i in range(200)]  # more than a table of the kernel holds


@pytest.mark.parametrize("owner", ["backend", "ops"])
@pytest.mark.parametrize(
    ("shapes", "dtypes"), [(SIZES, DTYPES), (MANY, ["float32"] * 200)], ids=["sizes", "many"]
)
def test_several_parameters_get_the_bits_that_each_gets_alone(
    backend, rng, update, owner, shapes, dtypes
):
    columns, rows = several(backend, update, rng, shapes, dtypes)
    update.device(backend if owner == "backend" else OpsOf(backend), columns, 3)
    for index, row in enumerate(rows):
        alone = [backend.asarray(array.copy()) for array in row]
        update.device(backend, alone, 3)
        for column, want in zip(columns, alone, strict=True):
            assert_same_bits(backend.to_numpy(column[index]), backend.to_numpy(want), str(index))


class OpsOf:
    """`gpucnn.ops`, and the arrays of a backend."""

    def __init__(self, backend):
        self.asarray = backend.asarray

    def __getattr__(self, name):
        return getattr(ops, name)


def test_no_parameters_at_all(backend, update):
    update.device(backend, [[] for _ in range(2 + update.slots)], 1)


def test_found_inf_stops_the_update_of_several(backend, rng, update):
    columns, rows = several(backend, update, rng, [(5,), (2, 3)], ["float32", "float64"])
    update.device(backend, columns, 3, found_inf=one(backend, 17, "uint32"))
    for index, row in enumerate(rows):
        for column, original in zip(columns, row, strict=True):
            assert_same_bits(backend.to_numpy(column[index]), original)


def test_lists_that_do_not_fit(backend, rng, update):
    """Nothing is changed where one parameter of several is wrong."""
    columns, rows = several(backend, update, rng, [(5,), (2, 3), (4,)], ["float32"] * 3)
    for which in range(len(columns)):
        shorter = list(columns)
        shorter[which] = shorter[which][:2]
        with pytest.raises(ShapeError, match="different lengths"):
            update.device(backend, shorter, 1)
        alone = list(columns)
        alone[which] = alone[which][0]
        with pytest.raises(ShapeError, match="no list"):
            update.device(backend, alone, 1)
    wrong = [list(column) for column in columns]
    wrong[1][2] = backend.asarray(np.ones((4, 1), np.float32))
    with pytest.raises(ShapeError, match=r"\(4, 1\)"):
        update.device(backend, wrong, 1)
    for column, originals in zip(columns, zip(*rows, strict=True), strict=True):
        for array, original in zip(column, originals, strict=True):
            assert_same_bits(backend.to_numpy(array), original)


def test_one_launch_updates_a_whole_network(gpu, monkeypatch):
    """As long as its parameters have one dtype."""
    launched = []
    launch = gpu.launcher.launch

    def counted(source, kernel, *args, **options):
        launched.append(kernel)
        return launch(source, kernel, *args, **options)

    monkeypatch.setattr(gpu.launcher, "launch", counted)
    model = models.get("cnn", 10).build((1, 28, 28), seed=0, device=gpu.name)
    optimizer = optim.Adam(model)
    for parameter in model.parameters():
        parameter.grad = gpu.xp.ones_like(parameter.data)
    launched.clear()
    optimizer.step()
    assert len(optimizer.parameters) > 4
    assert launched == ["adam_update"]


def test_momentum_needs_a_velocity(backend):
    ones = backend.asarray(np.ones(3))
    with pytest.raises(UsageError, match="velocity"):
        backend.sgd_update(ones, ones, None, learning_rate=0.1, momentum=0.9)


def test_sgd_without_momentum_needs_no_velocity(backend):
    param, grad = backend.asarray(np.ones(3)), backend.asarray(np.ones(3))
    backend.sgd_update(param, grad, None, learning_rate=one(backend, 0.5, "float32"))
    np.testing.assert_array_equal(backend.to_numpy(param), [0.5] * 3)


@pytest.mark.parametrize("betas", [{"beta1": 1.0}, {"beta2": -0.5}, {"beta2": float("nan")}])
def test_a_beta_that_is_no_weight(backend, betas):
    arrays = [backend.asarray(np.ones(3, np.float32)) for _ in range(4)]
    with pytest.raises(UsageError, match=next(iter(betas))):
        backend.adam_update(*arrays, learning_rate=0.1, step=1, **betas)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        (name, bad)
        for name in ("learning_rate", "step", "found_inf")
        for bad in ("0.1", [0.1], None, 1j, "two", "none", "complex", "elsewhere")
        if (name, bad) != ("found_inf", None)
    ],
)
def test_a_scalar_that_is_no_number(backend, name, bad):
    """The same error on every device: a kernel would read past the end of an array."""
    arrays = [backend.asarray(np.ones(3, np.float32)) for _ in range(4)]
    scalars = {"learning_rate": 0.1, "step": 1, "found_inf": 0}
    error = DtypeError
    if bad == "elsewhere":
        bad = np.ones(1, np.float32).view(type("Sub", (np.ndarray,), {}))
    elif bad in ("two", "none"):
        bad, error = backend.asarray(np.ones(2 * (bad == "two"), np.float32)), ShapeError
    elif bad == "complex":
        bad = backend.asarray(np.ones(1, np.complex64))
    with pytest.raises(error, match=name):
        backend.adam_update(*arrays, **scalars | {name: bad})
    if name == "learning_rate":
        with pytest.raises(error, match=name):
            backend.sgd_update(*arrays[:2], None, learning_rate=bad)
        with pytest.raises(error, match=name):
            backend.rmsprop_update(*arrays[:3], learning_rate=bad)
    if name == "step":
        with pytest.raises(error, match=name):
            backend.dropout_forward(arrays[0], 0.5, key=(1, 2), step=bad)
    for array in arrays:
        np.testing.assert_array_equal(backend.to_numpy(array), 1)


@pytest.mark.parametrize("step", [-1, 1.5, 2**32, 2**70, float("nan"), float("inf")])
def test_a_step_that_is_no_count(backend, step):
    arrays = [backend.asarray(np.ones(3, np.float32)) for _ in range(4)]
    with pytest.raises(UsageError, match="counted from 1"):
        backend.adam_update(*arrays, learning_rate=0.1, step=step)
    with pytest.raises(UsageError, match="counted from 0"):
        backend.dropout_forward(arrays[0], 0.5, key=(1, 2), step=step)
    for array in arrays:
        np.testing.assert_array_equal(backend.to_numpy(array), 1)


def test_adam_counts_from_one_and_dropout_from_zero(backend):
    arrays = [backend.asarray(np.ones(3, np.float32)) for _ in range(4)]
    with pytest.raises(UsageError, match="step is 0"):
        backend.adam_update(*arrays, learning_rate=0.1, step=0)
    backend.dropout_forward(arrays[0], 0.5, key=(1, 2), step=0)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_scalar_is_an_array_of_one_element(backend, rng, shape):
    start = rng.standard_normal(5).astype(np.float32)
    results = []
    for learning_rate, step in ((0.5, 2), (np.full(shape, 0.5), np.full(shape, 2))):
        arrays = [backend.asarray(abs(start)) for _ in range(4)]
        if isinstance(step, np.ndarray):
            learning_rate = backend.asarray(learning_rate.astype(np.float32))
            step = backend.asarray(step.astype(np.uint32))
        backend.adam_update(*arrays, learning_rate=learning_rate, step=step, found_inf=0)
        results.append(backend.to_numpy(arrays[0]))
    assert_same_bits(*results)
