"""The text of the objects that a user prints: short, on few lines, and no addresses."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

import gpucnn
from gpucnn import Tensor, backend, data, keras, models, nn, optim, training
from gpucnn import functions as F
from gpucnn.printing import Printable


class Shape(Printable):
    def __init__(self, width, height=1, *, color="black", hidden=3, points=None):
        self.width, self.height, self.color, self.points = width, height, color, points


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Shape(2), "Shape(2)"),
        (Shape(2, 1, color="black"), "Shape(2)"),
        (Shape("a'b", 5, color=None), 'Shape("a\'b", height=5, color=None)'),
        (Shape(2, points=np.zeros((300, 2))), "Shape(2, points=ndarray(300, 2))"),
        (Shape(2, points=abs), "Shape(2, points=abs)"),
        (Shape(2, points=object()), "Shape(2, points=<object>)"),
        (Shape(2, points=[iter(())]), "Shape(2, points=[<tuple_iterator>])"),
        (Shape(2, points=list(range(100))), "Shape(2, points=[0, 1, 2, 3, 4, 5, ...])"),
    ],
)
def test_the_arguments_that_differ_from_the_defaults(made, text):
    assert repr(made) == text


def test_arguments_after_one_that_is_not_kept_have_names():
    class Late(Printable):
        def __init__(self, lost, kept):
            self.kept = kept

    assert repr(Late(1, 2)) == "Late(kept=2)"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (
            nn.Conv2d(16, 3, padding="same", activation="relu"),
            "Conv2d(16, 3, padding='same', activation='relu')",
        ),
        (nn.Conv2d(16, (3, 3), stride=(1, 1), padding=0), "Conv2d(16, 3)"),
        (
            nn.Conv2d(4, (3, 5), stride=2, dilation=(1, 2), padding=((1, 0), (0, 1)), groups=2),
            "Conv2d(4, (3, 5), stride=2, padding=((1, 0), (0, 1)), dilation=(1, 2), groups=2)",
        ),
        (
            nn.Dense(3, use_bias=False, kernel_initializer="he_normal", input_shape=(4,)),
            "Dense(3, use_bias=False, kernel_initializer='he_normal', input_shape=(4,))",
        ),
        (
            nn.Dense(3, bias_initializer=nn.initializers.Constant(2.0)),
            "Dense(3, bias_initializer=Constant(value=2.0))",
        ),
        (nn.Dense(3, kernel_initializer=nn.initializers.Scaled("glorot", True)), "Dense(3)"),
        (nn.Linear(4, 3), "Linear(4, 3)"),
        (nn.MaxPool2d(), "MaxPool2d(2)"),
        (nn.MaxPool2d(3, 3), "MaxPool2d(3)"),
        (nn.MaxPool2d(3, 2, "same"), "MaxPool2d(3, stride=2, padding='same')"),
        (nn.AvgPool2d((2, 1), count_include_pad=True), "AvgPool2d((2, 1), count_include_pad=True)"),
        (nn.GlobalAvgPool2d(), "GlobalAvgPool2d()"),
        (nn.Flatten(), "Flatten()"),
        (nn.ReLU(), "ReLU()"),
        (nn.LeakyReLU(0.3), "LeakyReLU(slope=0.3)"),
        (nn.Activation("tanh"), "Activation('tanh')"),
        (nn.Dropout(0.5), "Dropout(0.5)"),
        (nn.BatchNorm2d(momentum=0.2), "BatchNorm2d(momentum=0.2)"),
        (nn.LayerNorm(), "LayerNorm()"),
        (keras.layers.Conv2D(8, 3), "Conv2d(8, 3, padding='valid')"),
        (keras.layers.Input((4,)), "InputLayer(input_shape=(4,))"),
        (nn.Sequential(), "Sequential()"),
    ],
)
def test_layers(layer, text):
    assert repr(layer) == text


def test_a_layer_is_printed_the_same_after_it_is_built():
    layer = nn.Conv2d(2, 3)
    before = repr(layer)
    layer.build((1, 5, 5))
    assert repr(layer) == before == "Conv2d(2, 3)"
    layer.stride = (2, 2)
    assert repr(layer) == "Conv2d(2, 3, stride=2)"


class Net(nn.Module):
    def __init__(self, head, classes=10, blocks=()):
        self.classes = classes
        self.stem = nn.Conv2d(8, 3)
        self.blocks = tuple(blocks)
        self.body = nn.Residual(nn.Dense(3), nn.ReLU(), shortcut=nn.Dense(3))
        self.head = head


def test_a_module_of_ones_own_is_a_tree():
    assert repr(Net(nn.Dense(5), blocks=[nn.Dropout(0.1)])).splitlines() == [
        "Net(",
        "  (stem): Conv2d(8, 3)",
        "  (blocks.0): Dropout(0.1)",
        "  (body): Residual(",
        "    (body): Sequential(",
        "      (dense1): Dense(3)",
        "      (relu1): ReLU()",
        "    )",
        "    (shortcut): Dense(3)",
        "  )",
        "  (head): Dense(5)",
        ")",
    ]
    assert repr(Net(nn.Dense(5), classes=5)).splitlines()[:2] == [
        "Net(classes=5,",
        "  (stem): Conv2d(8, 3)",
    ]


def test_models():
    text = "\n".join(
        [
            "Sequential(",
            "  (conv1): Conv2d(6, 5, padding=2, activation='relu')",
            "  (pool1): MaxPool2d(2)",
            "  (conv2): Conv2d(16, 5, activation='relu')",
            "  (pool2): MaxPool2d(2)",
            "  (flatten1): Flatten()",
            "  (dense1): Dense(120, activation='relu')",
            "  (dense2): Dense(84, activation='relu')",
            "  (dense3): Dense(10)",
            ")",
        ]
    )
    assert repr(models.get("lenet")) == repr(models.get("lenet").build((1, 28, 28))) == text
    model = keras.Sequential([keras.layers.Dense(3, input_shape=(4,)), nn.Dense(2, name="head")])
    assert repr(model).splitlines() == [
        "Sequential(",
        "  (dense1): Dense(3, input_shape=(4,))",
        "  (head): Dense(2)",
        ")",
    ]


def test_a_module_that_holds_itself():
    net = Net(nn.Dense(1))
    net.head = net
    assert repr(net).splitlines()[-2] == "  (head): ..."


def test_data():
    digits = data.load("digits")
    assert repr(digits).splitlines() == [
        "Splits(",
        "  train=Dataset('digits', images=uint8 (1437, 1, 28, 28), labels=int32 (1437,),"
        " class_names=0-9),",
        "  validation=None,",
        "  test=Dataset('digits', images=uint8 (360, 1, 28, 28), labels=int32 (360,),"
        " class_names=0-9),",
        ")",
    ]
    loader = data.Loader(digits.train, 64, backend.get("cpu"), seed=3)
    assert repr(loader) == f"Loader({digits.train!r}, 64, gpucnn.backend.get('cpu'), seed=3)"


def test_optimizers():
    model = nn.Dense(2).build((3,))
    assert repr(optim.Adam(model)) == "Adam(learning_rate=0.001)"
    text = "SGD(learning_rate=0.1, momentum=0.9, nesterov=True)"
    assert repr(optim.SGD(model, lr=0.1, momentum=0.9, nesterov=True)) == text
    adamw = optim.AdamW(model, 0.2, weight_decay=0.0)
    adamw.lr = 0.3
    assert repr(adamw) == "AdamW(learning_rate=0.3, weight_decay=0.0)"


def test_parts_of_compile_and_fit():
    rmsprop = keras.optimizers.RMSprop(0.1, rho=0.8)
    assert repr(rmsprop).startswith("RMSprop(learning_rate=0.1, rho=0.8")
    stopping = keras.callbacks.EarlyStopping(patience=3)
    assert repr(stopping) == "EarlyStopping(patience=3)"
    assert repr(training.callbacks.EarlyStopping(3)) == "EarlyStopping(3)"


def test_functions():
    x = Tensor(np.ones((1, 1, 4, 4), np.float32), requires_grad=True)
    assert repr((x + 1).creator) == "Add()"
    assert repr(F.leaky_relu(x, 0.2).creator) == "LeakyReLU(slope=0.2)"
    text = "Conv2d(padding=1, activation='relu', pool=(2, 2, 0))"
    conv = F.conv2d(x, x[:, :, :3, :3], padding=1, activation="relu", pool=(2, 2, 0))
    assert repr(conv.creator) == text


def test_the_history_of_keras():
    history = {"loss": [0.51234567, 0.25], "accuracy": [0.5, np.float32(2 / 3)]}
    assert repr(keras.FitHistory([0, 1], history)) == (
        "FitHistory(epochs=2, loss=0.25, accuracy=0.6667)"
    )
    assert repr(keras.FitHistory([], {})) == "FitHistory(epochs=0)"
    many = {f"quantity {k}": list(np.random.default_rng(0).random(1000)) for k in range(4)}
    assert len(repr(keras.FitHistory(list(range(1000)), many))) < 200


def test_the_result_of_a_training():
    record = {"epoch": 1, "loss": 0.123456, "accuracy": 0.75, "val_loss": None}
    history = training.History([record] * 50, "finished", 12.345, {"loss": 1.0, "accuracy": 0.5})
    assert repr(history) == (
        "History(epochs=50, reason='finished', loss=0.1235, accuracy=0.75, seconds=12.3,"
        " test={'loss': 1.0, 'accuracy': 0.5})"
    )
    empty = training.History([], "finished", 0.0, None)
    assert repr(empty) == "History(epochs=0, reason='finished', seconds=0.0, test=None)"


def public_classes():
    for module in gpucnn._modules:
        names = vars(importlib.import_module(f"gpucnn.{module}"))
        for name, value in names.items():
            if inspect.isclass(value) and value.__module__.startswith("gpucnn"):
                yield pytest.param(value, id=f"{module}.{name}")


@pytest.mark.parametrize("kind", list(public_classes()))
def test_no_public_object_is_printed_as_an_address(kind):
    assert kind.__repr__ is not object.__repr__ or kind.__name__ == "no_grad"
