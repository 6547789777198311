"""Layers against plain NumPy in float64, and their errors."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from checks import assert_close

from gpucnn import nn
from gpucnn.errors import ShapeError, UsageError
from gpucnn.nn.activations import ACTIVATIONS

RNG = np.random.default_rng(21)
ROWS = RNG.standard_normal((5, 7)).astype(np.float32)
IMAGES = RNG.standard_normal((3, 4, 9, 8)).astype(np.float32)


def run(layer, x, backend):
    """The output on the host; parameters are set to random numbers, zero biases included."""
    layer.build(x.shape[1:], seed=1, device=backend.name)
    rng = np.random.default_rng(5)
    for p in layer.parameters():
        p.data[...] = backend.asarray(rng.standard_normal(p.shape), dtype="float32")
    return layer(backend.asarray(x)).numpy()


class TestDense:
    def test_values(self, backend):
        layer = nn.Dense(3)
        y = run(layer, ROWS, backend)
        w, b = layer.weight.numpy().astype(np.float64), layer.bias.numpy()
        assert_close(y, ROWS.astype(np.float64) @ w + b, terms=8)

    def test_without_bias(self, backend):
        layer = nn.Dense(3, use_bias=False)
        y = run(layer, ROWS, backend)
        assert list(layer.named_parameters().keys()) == ["weight"]
        assert_close(y, ROWS.astype(np.float64) @ layer.weight.numpy().astype(np.float64), terms=7)

    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_activation(self, backend, name):
        layer, plain = nn.Dense(3, activation=name), nn.Dense(3)
        y = run(layer, ROWS, backend)
        by_layer = nn.Activation(name)(backend.asarray(run(plain, ROWS, backend))).numpy()
        np.testing.assert_array_equal(y, by_layer)

    def test_linear_is_dense_by_both_sizes(self):
        layer = nn.Linear(7, 3, use_bias=False)
        assert {k: p.shape for k, p in layer.named_parameters().items()} == {"weight": (7, 3)}
        assert layer(ROWS).shape == (5, 3)

    def test_an_empty_batch(self, backend):
        assert run(nn.Dense(3), ROWS[:0], backend).shape == (0, 3)

    def test_images_are_not_rows(self):
        with pytest.raises(ShapeError, match=r"Dense: the input is \(1, 4, 9, 8\)") as caught:
            nn.Dense(3).build((4, 9, 8))
        assert caught.value.fix == "put Flatten() before it"


class TestConv2d:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"stride": 2, "padding": 1},
            {"padding": "same", "dilation": (2, 1)},
            {"groups": 2, "padding": ((0, 1), (2, 0))},
            {"groups": 4, "stride": (1, 2), "use_bias": False},
        ],
    )
    def test_values(self, backend, options):
        layer = nn.Conv2d(8, (3, 2), **options)
        y = run(layer, IMAGES, backend)
        options = {k: v for k, v in options.items() if k != "use_bias"}
        bias = None if layer.bias is None else layer.bias.numpy()
        expected = reference.conv2d_forward(IMAGES, layer.weight.numpy(), bias, **options)
        assert_close(y, expected, terms=4 * 6 + 1)

    def test_channels_that_groups_do_not_divide(self):
        with pytest.raises(ShapeError, match=r"^conv1 \(Conv2d\): .* in 3 groups") as caught:
            nn.Sequential([nn.Conv2d(6, 3, groups=3)]).build((4, 9, 8))
        assert caught.value.fix == "choose groups from [1, 2]"

    def test_more_groups_than_channels(self):
        with pytest.raises(ShapeError, match=r"^Conv2d: .* in 8 groups"):
            nn.Conv2d(8, 3, groups=8, kernel_initializer="he_normal").build((4, 9, 8))

    def test_a_kernel_that_does_not_fit(self):
        model = nn.Sequential([nn.MaxPool2d(4), nn.Conv2d(6, 5)])
        with pytest.raises(
            ShapeError, match=r"^conv1 \(Conv2d\): the kernel does not fit"
        ) as caught:
            model.build((4, 9, 8))
        assert "(1, 4, 2, 2)" in caught.value.message
        assert "(6, 4, 5, 5)" in caught.value.message
        assert caught.value.fix

    def test_other_channels_than_it_was_built_for(self):
        layer = nn.Conv2d(6, 3).build((4, 9, 8))
        with pytest.raises(ShapeError) as caught:
            layer(IMAGES[:, :2])
        assert "(3, 2, 9, 8)" in caught.value.message
        assert "(6, 4, 3, 3)" in caught.value.message
        assert caught.value.fix

    def test_gray_images_without_a_channel_axis(self):
        with pytest.raises(ShapeError, match=r"the input is \(1, 9, 8\)") as caught:
            nn.Conv2d(6, 3).build((9, 8))
        assert "(N, 1, H, W)" in caught.value.fix


class TestPools:
    @pytest.mark.parametrize("stride", [None, 1, (2, 1)])
    def test_max(self, backend, stride):
        y = run(nn.MaxPool2d(3, stride=stride, padding=1), IMAGES, backend)
        expected = reference.max_pool2d_forward(IMAGES, 3, stride=stride, padding=1)
        assert_close(y, expected)

    @pytest.mark.parametrize("count", [True, False])
    def test_average(self, backend, count):
        layer = nn.AvgPool2d((2, 3), padding=1, count_include_pad=count)
        y = run(layer, IMAGES, backend)
        expected = reference.avg_pool2d_forward(IMAGES, (2, 3), padding=1, count_include_pad=count)
        assert_close(y, expected, terms=6)

    @pytest.mark.parametrize(("padding", "counted"), [("same", False), (1, True), ("valid", True)])
    def test_average_counts_padding_unless_it_is_same(self, backend, padding, counted):
        y = run(nn.AvgPool2d((2, 3), stride=2, padding=padding), IMAGES, backend)
        options = {"stride": 2, "padding": padding, "count_include_pad": counted}
        assert_close(y, reference.avg_pool2d_forward(IMAGES, (2, 3), **options), terms=6)

    def test_global(self, backend):
        y = run(nn.GlobalAvgPool2d(), IMAGES, backend)
        assert_close(y, IMAGES.astype(np.float64).mean(axis=(2, 3)), terms=72)

    def test_default_is_two_by_two(self):
        assert nn.MaxPool2d()(IMAGES).shape == (3, 4, 4, 4)

    @pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.GlobalAvgPool2d()])
    def test_rows_are_not_images(self, layer):
        with pytest.raises(ShapeError, match=r"^pool1 \(.*Pool2d\): .*\(1, 7\)") as caught:
            nn.Sequential([layer]).build((7,))
        assert caught.value.fix


def test_flatten(backend):
    y = run(nn.Flatten(), IMAGES, backend)
    np.testing.assert_array_equal(y, IMAGES.reshape(3, 4 * 9 * 8))


class TestResidual:
    def test_adds_the_input(self, backend):
        layer = nn.Residual(nn.Conv2d(4, 3, padding="same"), nn.ReLU())
        y = run(layer, IMAGES, backend)
        w, b = (p.numpy() for p in layer.parameters())
        body = reference.conv2d_forward(IMAGES, w, b, padding=1)
        assert_close(y, IMAGES + np.maximum(body, 0), terms=4 * 9 + 2)
        assert list(layer.named_parameters().keys()) == ["body.conv1.weight", "body.conv1.bias"]

    def test_shortcut(self, backend):
        layer = nn.Residual(
            nn.Conv2d(6, 3, stride=2, padding=1), shortcut=nn.Conv2d(6, 1, stride=2)
        )
        y = run(layer, IMAGES, backend)
        w, b, shortcut_w, shortcut_b = (p.numpy() for p in layer.parameters())
        expected = reference.conv2d_forward(IMAGES, w, b, stride=2, padding=1)
        expected += reference.conv2d_forward(IMAGES, shortcut_w, shortcut_b, stride=2)
        assert_close(y, expected, terms=4 * 9 + 6)
        assert list(layer.named_parameters().keys())[2:] == ["shortcut.weight", "shortcut.bias"]

    def test_the_gradient_takes_both_ways(self, backend):
        layer = nn.Residual(nn.Dense(3, use_bias=False))
        layer.build((3,), device=backend.name)
        layer.body[0].weight.data[...] = backend.asarray(np.diag([1, 2, 3]), dtype="float32")
        x = nn.Parameter(backend.asarray(np.ones((2, 3), np.float32)))
        layer(x).sum().backward()
        np.testing.assert_array_equal(backend.to_numpy(x.grad), [[2, 3, 4]] * 2)

    def test_a_sequential_is_the_body_itself(self):
        body = nn.Sequential([nn.Dense(3)])
        assert nn.Residual(body).body is body

    @pytest.mark.parametrize("filters", [1, 5])
    def test_shapes_that_cannot_be_added(self, filters):
        # One filter could be broadcast: that is refused as well.
        model = nn.Sequential([nn.Residual(nn.Conv2d(filters, 3))])
        with pytest.raises(ShapeError) as caught:
            model.build((4, 9, 8))
        assert caught.value.message == (
            f"residual1 (Residual): the body gives (1, {filters}, 7, 6), "
            "the connection around it (1, 4, 9, 8)"
        )
        assert 'padding="same"' in caught.value.fix
        assert f"Conv2d({filters}, 1" in caught.value.fix


ACTIVATION_CLASSES = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softmax": nn.Softmax,
    "log_softmax": nn.LogSoftmax,
}


class TestActivations:
    def test_a_class_for_each_name(self):
        assert ["linear", *ACTIVATION_CLASSES] == list(ACTIVATIONS)

    def test_linear_changes_nothing(self):
        np.testing.assert_array_equal(nn.Activation("linear")(ROWS).numpy(), ROWS)

    def test_values(self, backend):
        x = ROWS.astype(np.float64)
        e = np.exp(x)
        share = e / e.sum(axis=1, keepdims=True)
        expected = {
            "relu": np.maximum(x, 0),
            "leaky_relu": np.where(x > 0, x, 0.01 * x),
            "gelu": x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
            "tanh": np.tanh(x),
            "sigmoid": 1 / (1 + 1 / e),
            "softmax": share,
            "log_softmax": np.log(share),
        }
        for name, layer in ACTIVATION_CLASSES.items():
            for y in (layer()(backend.asarray(ROWS)), nn.Activation(name)(backend.asarray(ROWS))):
                assert_close(y.numpy(), expected[name], terms=16, what=name)

    def test_slope(self):
        np.testing.assert_array_equal(nn.LeakyReLU(0.5)(np.float32([[-2, 2]])).numpy(), [[-1, 2]])

    @pytest.mark.parametrize(
        "make",
        [nn.Activation, lambda name: nn.Dense(1, name), lambda n: nn.Conv2d(1, 1, activation=n)],
    )
    def test_unknown_name_lists_those_there_are(self, make):
        with pytest.raises(UsageError) as caught:
            make("relus")
        assert caught.value.message == "unknown activation 'relus'"
        assert caught.value.fix == f"did you mean relu? choose one of {', '.join(ACTIVATIONS)}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Dense(0), "units is 0"),
        (lambda: nn.Dense(2.5), "units is 2.5"),
        (lambda: nn.Dense(True), "units is True"),
        (lambda: nn.Conv2d(-1, 3), "filters is -1"),
        (lambda: nn.Conv2d(1, 0), "kernel_size is 0"),
        (lambda: nn.Conv2d(1, 3, stride=0), "stride is 0"),
        (lambda: nn.Conv2d(1, 3, dilation=0), "dilation is 0"),
        (lambda: nn.Conv2d(1, 3, groups=0), "groups is 0"),
        (lambda: nn.MaxPool2d(0), "kernel_size is 0"),
        (lambda: nn.AvgPool2d(2, stride=0), "stride is 0"),
    ],
)
def test_sizes_that_make_no_sense(make, message):
    with pytest.raises(ShapeError) as caught:
        make()
    assert caught.value.message == message
    assert caught.value.fix


def test_numpy_integers_are_sizes():
    assert nn.Dense(np.int64(3)).units == 3
