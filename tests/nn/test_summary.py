"""The summary: leaves in the order of their calls, counts worked out by hand."""

from __future__ import annotations

import pytest

from gpucnn import models, nn
from gpucnn.errors import UsageError


def test_table():
    model = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dense(10)])
    model.build((1, 8, 8))
    model["conv1"].freeze()
    assert model.summary(batch=100).splitlines() == [
        "layer               output shape    parameters    FLOPs  activations",
        "--------------------------------------------------------------------",
        "conv1 (Conv2d)      (100, 4, 6, 6)          40  259,200       folded",
        "relu1 (ReLU)        (100, 4, 6, 6)           0        0       folded",
        "pool1 (MaxPool2d)   (100, 4, 3, 3)           0        0     14.1 KiB",
        "flatten1 (Flatten)  (100, 36)                0        0          0 B",
        "dense1 (Dense)      (100, 10)              370   72,000      3.9 KiB",
        "--------------------------------------------------------------------",
        "total               batch of 100           410  331,200     18.0 KiB",
        "folded: runs in one call with the layers next to it; its output is not kept",
        "of the parameters 40 are frozen",
    ]


def test_what_is_folded_is_shown_as_what_it_is():
    rows = models.get("lenet").build((1, 28, 28)).summary_rows()
    assert [(row.title, row.folded, row.activation_bytes) for row in rows] == [
        ("Conv2d + relu", True, 0),
        ("MaxPool2d", False, 6 * 14 * 14 * 4),
        ("Conv2d + relu", True, 0),
        ("MaxPool2d", False, 16 * 5 * 5 * 4),
        ("Flatten", False, 0),
        ("Dense + relu", False, 120 * 4),
        ("Dense + relu", False, 84 * 4),
        ("Dense", False, 10 * 4),
    ]
    layers = [nn.Dense(3), nn.ReLU(), nn.Dense(3, activation="tanh"), nn.Activation("leaky_relu")]
    rows = nn.Sequential([*layers, nn.LeakyReLU(0.2)]).build((2,)).summary_rows()
    assert [(row.title, row.folded) for row in rows] == [
        ("Dense", False),
        ("ReLU", True),
        ("Dense + tanh", False),
        ("Activation leaky_relu", False),
        ("LeakyReLU", False),
    ]


def test_a_model_without_folded_layers_has_no_line_about_them():
    assert "folded" not in nn.Sequential([nn.Dense(3), nn.Tanh()]).build((2,)).summary()


def test_rows_of_cnn():
    rows = models.get("cnn").build((1, 28, 28)).summary_rows(batch=64)
    assert [(row.layer, row.output_shape, row.parameters) for row in rows] == [
        ("conv1", (64, 32, 26, 26), 320),
        ("conv2", (64, 64, 24, 24), 18_496),
        ("pool1", (64, 64, 12, 12), 0),
        ("dropout1", (64, 64, 12, 12), 0),
        ("flatten1", (64, 9216), 0),
        ("dense1", (64, 128), 1_179_776),
        ("dropout2", (64, 128), 0),
        ("dense2", (64, 10), 1_290),
    ]
    assert sum(row.parameters for row in rows) == 1_199_882
    assert sum(row.flops for row in rows) == 64 * 23_984_896
    assert rows[0].activation_bytes == 64 * 32 * 26 * 26 * 4


def test_operations_of_a_grouped_strided_convolution():
    (row,) = nn.Conv2d(6, 3, stride=2, groups=2, use_bias=False).build((4, 9, 9)).summary_rows()
    assert row.output_shape == (1, 6, 4, 4)
    assert row.flops == 2 * (6 * 4 * 4) * (2 * 3 * 3)
    assert (row.layer, row.type) == ("", "Conv2d")


def test_a_module_of_ones_own_in_the_order_of_its_calls():
    class Block(nn.Module):
        def __init__(self):
            self.last = nn.Dense(4)
            self.body = nn.Sequential([nn.Dense(4), nn.Tanh()])

        def forward(self, x):
            x = x + self.body(x)
            return self.last(self.last(x))

    model = nn.Sequential([Block(), nn.Dense(2, name="head")]).build((4,))
    rows = [(row.layer, row.type, row.parameters, row.flops) for row in model.summary_rows()]
    assert rows == [
        ("block1.body.dense1", "Dense", 20, 32),
        ("block1.body.tanh1", "Tanh", 0, 0),
        ("block1.last", "Dense", 20, 32),
        ("block1.last", "Dense", 0, 32),
        ("head", "Dense", 10, 16),
    ]
    assert model.num_parameters == 50


def test_a_module_with_parameters_of_its_own_has_a_row():
    class Gain(nn.Module):
        def create(self, x_shape):
            self.gain = self.new_parameter("gain", (1,), "ones")

        def forward(self, x):
            return self.inner(x) * self.gain

        def __init__(self):
            self.inner = nn.ReLU()

        def flops(self, x_shape, y_shape):
            return 7

    rows = Gain().build((3,)).summary_rows(batch=2)
    assert [(row.type, row.parameters, row.flops) for row in rows] == [
        ("ReLU", 0, 0),
        ("Gain", 1, 14),
    ]


@pytest.mark.parametrize(
    ("units", "size"),
    [(1, "4 B"), (255, "1020 B"), (256, "1.0 KiB"), (3 << 18, "3.0 MiB"), (5 << 28, "5.0 GiB")],
)
def test_units_of_memory(units, size):
    table = nn.Sequential([nn.ReLU()]).build((1,)).summary(batch=units)
    assert table.splitlines()[-1].endswith(f"  {size}")


def test_batch_below_one():
    with pytest.raises(UsageError, match="batch is 0"):
        nn.ReLU().build((1,)).summary(batch=0)


def test_leaves_the_model_as_it_was():
    model = nn.Sequential([nn.Dropout(0.5), nn.BatchNorm2d()]).build((2, 3, 3))
    before = model.state_dict()
    model.summary()
    assert model.training
    assert model.observer is None
    assert int(model["dropout1"].step[0]) == 0
    assert all((array == before[path]).all() for path, array in model.state_dict().items())
