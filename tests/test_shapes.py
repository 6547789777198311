"""Sizes against a walk over the positions, every form of padding, and what the errors say."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import assume, given
from hypothesis import strategies as st

from gpucnn.errors import ShapeError
from gpucnn.shapes import (
    conv2d_geometry,
    conv2d_transpose_shape,
    conv_output_size,
    is_channels_last,
    layout_fix,
    pair,
    pool2d_geometry,
    resolve_padding,
)

small = st.integers(1, 5)


@given(
    st.integers(1, 30),
    small,
    st.integers(1, 6),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    small,
)
def test_output_size_counts_the_positions_of_the_window(size, kernel, stride, sides, dilation):
    counted = reference.output_size(size, kernel, stride, sides, dilation)
    formula = conv_output_size(size, kernel, stride, sides, dilation)
    assert formula == counted if counted else formula <= 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((28, 5, 1, (2, 2)), 28),
        ((28, 2, 2), 14),
        ((224, 7, 2, (3, 3)), 112),
        ((7, 2, 2), 3),
        ((7, 3, 1, (0, 0), 3), 1),
        ((5, 5), 1),
        ((28, 5, 1, 2), 28),
        ((28, 5, 1, np.int64(2)), 28),
        ((28, 5, 1, (0, 3)), 27),
        ((28, 5, 1, [1, 1]), 26),
        ((28, 5, 1, "same"), 28),
        ((28, 5, 3, "same"), 10),
        ((5, 2, 2, "same"), 3),
        ((28, 5, 1, "valid"), 24),
        ((28, 3, 2, "same", 4), 14),
    ],
)
def test_known_output_sizes(arguments, expected):
    assert conv_output_size(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((28.0, 5), "size"),
        ((0, 5), "size"),
        (((28, 28), 5), "size"),
        ((28, 0), "kernel"),
        ((28, -5), "kernel"),
        ((28, "5"), "kernel"),
        ((28, np.array(1.5)), "kernel"),
        ((28, 5, 0), "stride"),
        ((28, 5, True), "stride"),
        ((28, 5, None), "stride"),
        ((28, 5, 1, -1), "padding"),
        ((28, 5, 1, (1, -1)), "padding"),
        ((28, 5, 1, ((1, 1), (1, 1))), "padding"),
        ((28, 5, 1, 1.5), "padding"),
        ((28, 5, 1, "full"), "padding"),
        ((28, 5, 1, None), "padding"),
        ((28, 5, 1, 0, 0), "dilation"),
    ],
)
def test_an_output_size_of_nonsense_is_an_error_that_names_the_argument(arguments, name):
    with pytest.raises(ShapeError, match=f"{name} is") as caught:
        conv_output_size(*arguments)
    assert caught.value.fix


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.tuples(small, small),
    st.tuples(small, small),
    st.tuples(small, small),
)
def test_same_keeps_ceil_of_size_over_stride_with_the_odd_pixel_last(
    size, kernel, stride, dilation
):
    sides = resolve_padding("same", size, kernel, stride, dilation)
    for axis in range(2):
        before, after = sides[axis]
        output = conv_output_size(
            size[axis], kernel[axis], stride[axis], sides[axis], dilation[axis]
        )
        assert output == -(-size[axis] // stride[axis])
        assert after - before in (0, 1)
    assert sides == reference.sides("same", size, kernel, stride, dilation)


@pytest.mark.parametrize(
    ("padding", "sides"),
    [
        (2, ((2, 2), (2, 2))),
        (np.int64(2), ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 2), (3, 0)), ((1, 2), (3, 0))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((1, 1), (0, 1))),
    ],
)
def test_forms_of_padding(padding, sides):
    assert resolve_padding(padding, (9, 8), (3, 2)) == sides


@pytest.mark.parametrize(
    "padding", ["full", -1, (1, -1), 1.5, (1, 2, 3), ((1, 2), "3"), ((1, 2), (3, -1)), None, True]
)
def test_a_padding_of_another_form_is_an_error_that_shows_it(padding):
    with pytest.raises(ShapeError) as caught:
        resolve_padding(padding, (9, 8), (3, 2))
    assert "padding" in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(("value", "expected"), [(3, (3, 3)), ((1, 2), (1, 2)), ([4, 5], (4, 5))])
def test_pair(value, expected):
    assert pair(value) == expected


@pytest.mark.parametrize("value", [0, -1, (3,), (1, 2, 3), (0, 1), 2.0, "3", None, True])
def test_no_pair_names_the_argument(value):
    with pytest.raises(ShapeError, match="stride"):
        pair(value, "stride")


def test_pair_of_a_minimum():
    assert pair(0, "padding", minimum=0) == (0, 0)


def test_conv_geometry_names_every_size():
    g = conv2d_geometry((2, 4, 9, 8), (6, 2, 3, 2), (2, 1), "same", (1, 2), 2)
    assert (g.N, g.C, g.H, g.W, g.F, g.KH, g.KW, g.OH, g.OW) == (2, 4, 9, 8, 6, 3, 2, 5, 8)
    assert (g.groups, g.stride, g.dilation, g.padding) == (2, (2, 1), (1, 2), ((1, 1), (1, 1)))
    assert (g.x_shape, g.w_shape, g.y_shape) == ((2, 4, 9, 8), (6, 2, 3, 2), (2, 6, 5, 8))


def test_pool_geometry_strides_by_the_kernel():
    g = pool2d_geometry((2, 3, 7, 8), (3, 2))
    assert (g.OH, g.OW, g.stride) == (2, 4, (3, 2))
    assert g.y_shape == (2, 3, 2, 4)
    assert pool2d_geometry((0, 3, 7, 8), 2, 1, ((0, 1), (1, 0))).y_shape == (0, 3, 7, 8)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((1, 3, 8, 8), (4, 2, 3, 3), {}),  # channels differ
        ((1, 4, 8, 8), (4, 4, 3, 3), {"groups": 2}),  # the weight is of one group
        ((1, 3, 8, 8), (4, 1, 3, 3), {"groups": 2}),  # groups divide neither
        ((1, 3, 4, 4), (4, 3, 5, 5), {}),  # larger than the image
        ((1, 3, 4, 4), (4, 3, 3, 3), {"dilation": 2}),
        ((3, 8, 8), (4, 3, 3, 3), {}),  # no batch axis
    ],
)
def test_a_convolution_that_does_not_fit_names_both_shapes_and_the_fix(x_shape, w_shape, options):
    with pytest.raises(ShapeError) as caught:
        conv2d_geometry(x_shape, w_shape, **options)
    assert str(x_shape) in caught.value.message
    assert str(w_shape) in caught.value.message
    assert caught.value.cause
    assert caught.value.fix


def test_the_fix_of_a_wrong_weight_is_the_shape_to_give():
    with pytest.raises(ShapeError) as caught:
        conv2d_geometry((1, 3, 8, 8), (4, 2, 5, 5))
    assert "(4, 3, 5, 5)" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (9, {}),
        (2, {"padding": ((2, 0), (0, 0))}),
        (2, {"padding": (0, 2)}),
        ((3, 2), {"padding": ((0, 0), (0, 2))}),
        (2, {"stride": 0}),
    ],
)
def test_a_pooling_that_does_not_fit(kernel, options):
    with pytest.raises(ShapeError) as caught:
        pool2d_geometry((1, 3, 8, 8), kernel, **options)
    assert caught.value.fix


@pytest.mark.parametrize("groups", [0, -1, 1.0, True, "2"])
def test_groups_is_a_positive_integer(groups):
    with pytest.raises(ShapeError, match="groups"):
        conv2d_geometry((1, 2, 8, 8), (2, 2, 3, 3), groups=groups)


@pytest.mark.parametrize("bad", [True, 1.0])
def test_validity_does_not_depend_on_what_was_asked_before(bad):
    """1, 1.0 and True are equal and hash alike: a cache must not let one in for the other."""
    conv2d_geometry((1, 2, 8, 8), (2, 2, 3, 3), 1, 0, 1, 1)
    with pytest.raises(ShapeError, match="groups"):
        conv2d_geometry((1, 2, 8, 8), (2, 2, 3, 3), 1, 0, 1, bad)
    with pytest.raises(ShapeError, match="stride"):
        conv2d_geometry((1, 2, 8, 8), (2, 2, 3, 3), bad, 0, 1, 1)
    pool2d_geometry((1, 2, 8, 8), (2, 1), (1, 1))
    with pytest.raises(ShapeError, match="stride"):
        pool2d_geometry((1, 2, 8, 8), (2, 1), (1, bad))


X_FIX, W_FIX = "x.transpose(0, 3, 1, 2)", "w.transpose(3, 2, 0, 1)"


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "groups", "fixes"),
    [
        ((8, 28, 28, 3), (16, 3, 3, 3), 1, [X_FIX]),
        ((8, 28, 28, 1), (6, 1, 5, 5), 1, [X_FIX]),
        ((8, 32, 30, 64), (16, 64, 3, 3), 1, [X_FIX]),
        ((8, 28, 28, 4), (8, 2, 3, 3), 2, [X_FIX]),
        ((8, 27, 27, 4), (8, 2, 3, 3), 2, [X_FIX]),  # groups do not divide 27
        ((8, 1, 28, 28), (5, 5, 1, 32), 1, [W_FIX]),
        ((8, 3, 32, 32), (7, 7, 3, 64), 1, [W_FIX]),
        ((8, 28, 28, 1), (5, 5, 1, 32), 1, [X_FIX, W_FIX]),
        ((8, 28, 28, 3), (3, 3, 3, 16), 1, [X_FIX, W_FIX]),  # (3, 16) would fit as a kernel, too
        ((8, 3, 28, 28), (1, 7, 3, 16), 1, [W_FIX]),
        ((8, 28, 28, 1), (5, 5, 1, 6), 1, [X_FIX, W_FIX]),
        ((8, 3, 28, 28), (16, 4, 3, 3), 1, []),  # not of a kernel of 16 x 4
        ((8, 28, 28, 5), (16, 3, 3, 3), 1, []),
        ((8, 4, 4, 3), (16, 3, 7, 7), 1, []),  # the kernel would not fit
    ],
)
def test_channels_last_arrays_are_recognized(x_shape, w_shape, groups, fixes):
    with pytest.raises(ShapeError) as caught:
        conv2d_geometry(x_shape, w_shape, groups=groups)
    assert [fix for fix in (X_FIX, W_FIX) if fix in caught.value.fix] == fixes
    if fixes:  # what it says works
        if X_FIX in fixes:
            x_shape = np.empty(x_shape).transpose(0, 3, 1, 2).shape
        if W_FIX in fixes:
            w_shape = np.empty(w_shape).transpose(3, 2, 0, 1).shape
        assert conv2d_geometry(x_shape, w_shape, groups=groups).KH in (1, 3, 5, 7)


@pytest.mark.parametrize(
    ("x_shape", "kernel", "recognized"),
    [
        ((8, 28, 28, 1), 2, True),
        ((8, 28, 28, 3), 4, True),
        ((8, 14, 15, 1), (2, 3), True),
        ((8, 1, 28, 1), 2, False),
        ((8, 28, 28, 2), 3, False),
    ],
)
def test_a_pooling_of_channels_last_arrays_is_recognized(x_shape, kernel, recognized):
    with pytest.raises(ShapeError, match="does not fit") as caught:
        pool2d_geometry(x_shape, kernel)
    assert (X_FIX in caught.value.fix) == recognized


def test_the_shape_of_a_transposed_convolution_is_that_of_pytorch():
    assert conv2d_transpose_shape((2, 16, 7, 7), (16, 8, 3, 3), 2, 1, 1) == (2, 8, 14, 14)
    assert conv2d_transpose_shape((2, 16, 7, 7), (16, 8, 4, 4), 2, 1) == (2, 8, 14, 14)
    assert conv2d_transpose_shape((0, 4, 1, 1), (4, 3, 5, 2), groups=2) == (0, 6, 5, 2)
    assert conv2d_transpose_shape((2, 4, 5, 6), (4, 3, 3, 3), (3, 2), "same") == (2, 3, 15, 12)


@given(
    st.integers(1, 9), small, st.integers(1, 4), st.tuples(st.integers(0, 2), st.integers(0, 2)),
    small, st.integers(0, 3),
)  # fmt: skip
def test_a_convolution_undoes_the_size_of_a_transposed_one(
    size, kernel, stride, sides, dilation, extra
):
    extra %= stride
    expected = (size - 1) * stride + dilation * (kernel - 1) + 1 - sum(sides) + extra
    assume(expected >= 1)
    options = {"stride": stride, "padding": (sides, (0, 0)), "dilation": dilation}
    x_shape, w_shape = (1, 2, size, 1), (2, 1, kernel, 1)
    y_shape = conv2d_transpose_shape(x_shape, w_shape, **options, output_padding=(extra, 0))
    assert y_shape == (1, 1, expected, 1)
    assert conv2d_geometry(y_shape, w_shape, **options).y_shape == x_shape


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options", "fix"),
    [
        ((2, 16, 7, 7), (8, 16, 3, 3), {}, "(16, 16, 3, 3)"),
        ((2, 7, 7, 16), (16, 8, 3, 3), {}, X_FIX),
        ((2, 16, 7, 7), (3, 3, 8, 16), {}, W_FIX),
        ((2, 4, 1, 1), (4, 8, 3, 3), {"padding": 2}, "less padding"),
        ((2, 4, 7, 7), (4, 8, 3, 3), {"stride": 2, "output_padding": 2}, "output_padding=0"),
        ((2, 4, 7, 7), (4, 8, 3, 3), {"output_padding": 1}, "output_padding=0"),
        ((2, 4, 7, 7), (4, 8, 3, 3), {"output_padding": -1}, "output_padding"),
        ((2, 4, 7, 7), (4, 8, 3, 3), {"stride": 2, "padding": "same", "output_padding": 1}, "out"),
        ((2, 4, 7, 7), (4, 8, 3, 3), {"groups": 3}, "[1, 2, 4]"),
        ((2, 4, 7, 7), (4, 8, 3, 3), {"groups": 0}, "groups=1"),
        ((4, 7, 7), (4, 8, 3, 3), {}, "(N, 1, H, W)"),
        ((2, 4, 7, 7), (4, 0, 3, 3), {}, "check the shapes"),
    ],
)
def test_a_transposed_convolution_that_does_not_fit(x_shape, w_shape, options, fix):
    with pytest.raises(ShapeError) as caught:
        conv2d_transpose_shape(x_shape, w_shape, **options)
    assert fix in caught.value.fix


def test_a_layer_s_name_is_put_in_front_once():
    error = ShapeError("input (1, 2)", cause="why", fix="how").at("block/conv1").at("block")
    assert str(error) == "block/conv1: input (1, 2)\ncause: why\nfix: how"


@pytest.mark.parametrize("x_shape", [(1, 0, 4, 4), (1, 2, 0, 4), (1, 2, 4, 0)])
def test_only_the_batch_may_be_empty(x_shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="at least 1"):
        conv2d_geometry(x_shape, (3, x_shape[1], 1, 1), padding=1)
    with pytest.raises(ShapeError, match="at least 1"):
        pool2d_geometry(x_shape, 2, padding=1)
    with pytest.raises(ShapeError, match="at least 1"):
        conv2d_geometry((1, 2, 4, 4), (0, 2, 1, 1))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28, 1), True), ((32, 48, 3), True), ((8, 8, 4), True), ((480, 640, 3), True),
        ((1, 28, 28), False), ((3, 32, 3), False), ((28, 28, 2), False), ((7, 7, 1), False),
        ((8, 33, 1), False), ((512, 7, 1), False), ((28, 28), False), ((2, 28, 28, 1), False),
        ([28, 28, 1], True),
    ],
)  # fmt: skip
def test_what_is_plainly_channels_last(shape, expected):
    assert is_channels_last(shape) is expected


LAYOUTS = [
    lambda C, H, W: (C, H, W),
    lambda C, H, W: (H, W, C),
    lambda C, H, W: (H, W) if C == 1 else (C * H * W,),
    lambda C, H, W: (C * H * W,),
]


@given(
    st.sampled_from([1, 3, 4]), st.integers(5, 9), st.integers(5, 9),
    st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS),
)  # fmt: skip
def test_what_to_write_for_another_layout_does_it(C, H, W, one, other):
    given_shape, wanted = one(C, H, W), other(C, H, W)
    fix = layout_fix(given_shape, wanted)
    if given_shape == wanted:
        assert fix is None
        return
    x = np.arange(2 * C * H * W).reshape(2, C, H, W)
    to = {LAYOUTS[1]: x.transpose(0, 2, 3, 1)}
    x_given = to.get(one, x).reshape(2, *given_shape)
    turned = eval(fix, {"x": x_given})
    assert turned.shape == (2, *wanted)
    if LAYOUTS[1] not in (one, other) or {one, other} == {LAYOUTS[0], LAYOUTS[1]}:
        np.testing.assert_array_equal(turned, to.get(other, x).reshape(2, *wanted))


def test_shapes_that_are_no_matter_of_layout():
    for shapes in (((1, 28, 28), (1, 32, 32)), ((3, 8, 8), (1, 8, 8)), ((784,), (10,))):
        assert layout_fix(*shapes) is None
