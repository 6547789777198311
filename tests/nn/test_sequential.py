"""Sequential: names by order, random numbers by name, folding, errors."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from checks import assert_close, assert_same_bits

from gpucnn import nn
from gpucnn.autograd import Tensor
from gpucnn.errors import ShapeError, UnknownNameError, UsageError

IMAGE = (2, 8, 8)
RNG = np.random.default_rng(11)
X = RNG.standard_normal((3, *IMAGE)).astype(np.float32)


def small(extra=(), **build):
    layers = [
        nn.Conv2d(4, 3),
        nn.ReLU(),
        *extra,
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dense(6),
        nn.Activation("relu"),
        nn.Dropout(0.5),
        nn.Dense(3),
    ]
    return nn.Sequential(layers).build(IMAGE, **build)


def names(model):
    return list(model.children().keys())


def test_names_are_kind_and_number():
    layers = [
        nn.Conv2d(1, 1),
        nn.ReLU(),
        nn.Conv2d(1, 1),
        nn.Activation("relu"),
        nn.MaxPool2d(),
        nn.AvgPool2d(),
        nn.GlobalAvgPool2d(),
        nn.Flatten(),
        nn.Dense(1),
        nn.Linear(1, 1),
        nn.Dropout(0.1),
        nn.BatchNorm2d(),
        nn.LayerNorm(),
        nn.Residual(nn.ReLU()),
        nn.Sequential(),
        nn.LeakyReLU(),
    ]
    assert names(nn.Sequential(layers)) == [
        "conv1", "relu1", "conv2", "relu2", "pool1", "pool2", "pool3", "flatten1", "dense1",
        "dense2", "dropout1", "batchnorm1", "layernorm1", "residual1", "sequential1", "leaky_relu1",
    ]  # fmt: skip


def test_a_users_name_wins_and_renames_no_other():
    layers = [nn.Dense(1), nn.Dense(1, name="hidden"), nn.Dense(1)]
    assert names(nn.Sequential(layers)) == ["dense1", "hidden", "dense3"]


def test_add_is_the_same_as_a_list():
    model = nn.Sequential()
    model.add(nn.Dense(4, activation="relu", input_shape=(3,)))
    model.add(nn.Dense(2))
    listed = nn.Sequential([nn.Dense(4, activation="relu"), nn.Dense(2)]).build((3,))
    for path, array in listed.state_dict().items():
        assert_same_bits(model.state_dict()[path], array, path)


def test_is_a_container():
    first, last = nn.Flatten(), nn.Dense(2)
    model = nn.Sequential([first, last])
    assert len(model) == 2
    assert list(model) == [first, last]
    assert model[0] is first
    assert model[-1] is last
    assert model["dense1"] is last


def test_a_subclass_need_not_call_init():
    class Net(nn.Sequential):
        def __init__(self):
            for units in (4, 3):
                self.add(nn.Dense(units))

    class Empty(nn.Sequential):
        def __init__(self):
            self.note = "nothing is added"

    net = Net()
    assert repr(net) == "Net(\n  (dense1): Dense(4)\n  (dense2): Dense(3)\n)"
    assert net(np.ones((2, 5), np.float32)).shape == (2, 3)
    assert repr(copy.deepcopy(net)) == repr(net)
    assert (repr(Empty()), len(Empty()), len(Net())) == ("Empty()", 0, 2)


class TestRandomNumbers:
    def test_one_seed_gives_one_set_of_bits(self):
        first, second, other = small(seed=3), small(seed=3), small(seed=4)
        for path, array in first.state_dict().items():
            assert_same_bits(second.state_dict()[path], array, path)
        assert_same_bits(second(X).numpy(), first(X).numpy())
        assert (other["conv1"].weight.numpy() != first["conv1"].weight.numpy()).all()

    @pytest.mark.parametrize("extra", [[nn.ReLU], [nn.Tanh], [nn.BatchNorm2d], [nn.ReLU, nn.ReLU]])
    def test_another_layer_changes_no_numbers(self, extra):
        plain, longer = small(seed=3), small([layer() for layer in extra], seed=3)
        weights = longer.state_dict()
        for path, array in plain.state_dict().items():
            assert_same_bits(weights[path], array, path)
        ones = np.ones((5, 6), np.float32)
        assert_same_bits(longer["dropout1"](ones).numpy(), plain["dropout1"](ones).numpy())

    def test_deleting_a_relu_changes_no_numbers(self):
        layers = [nn.Conv2d(4, 3), nn.Flatten(), nn.Dense(6), nn.Dropout(0.5), nn.Dense(3)]
        layers.insert(2, nn.MaxPool2d(2))
        layers[1], layers[2] = layers[2], layers[1]
        without = nn.Sequential(layers).build(IMAGE, seed=3)
        weights = small(seed=3).state_dict()
        assert list(without.state_dict()) == list(weights)
        for path, array in without.state_dict().items():
            assert_same_bits(array, weights[path], path)


class TestFolding:
    def test_folds_what_follows_a_layer_without_activation(self):
        model = small([nn.ReLU()])
        assert model.not_kept() == [model["relu1"], model["relu3"]]

    def test_gives_the_same_numbers_and_gradients(self, backend):
        folded, apart = (small(seed=2, device=backend.name).eval() for _ in range(2))
        together = folded(backend.asarray(X))
        with apart.observe(lambda *_: None):  # every layer by itself
            alone = apart(backend.asarray(X))
        assert_same_bits(together.numpy(), alone.numpy())
        together.sum().backward()
        alone.sum().backward()
        pairs = zip(folded.named_parameters().items(), apart.parameters(), strict=True)
        for (path, a), b in pairs:
            assert_same_bits(backend.to_numpy(a.grad), backend.to_numpy(b.grad), path)

    def test_runs_as_one_call(self):
        model = small().eval()
        called = []
        model["relu1"].forward = lambda x: called.append(x)
        model(X)
        assert called == []

    def test_the_argument_is_the_same(self):
        by_argument = nn.Sequential([nn.Conv2d(4, 3, activation="relu")]).build(IMAGE)
        by_layer = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU()]).build(IMAGE)
        assert_same_bits(by_argument(X).numpy(), by_layer(X).numpy())

    def test_an_own_activation_comes_first(self):
        model = nn.Sequential([nn.Flatten(), nn.Dense(5, activation="tanh"), nn.ReLU()])
        model.build(IMAGE)
        assert model.not_kept() == []
        y = model(X).numpy()
        assert ((y >= 0) & (y < 1)).all()
        assert (y == 0).any()

    def test_only_relu_is_folded(self):
        model = nn.Sequential([nn.Flatten(), nn.Dense(5), nn.Tanh()]).build(IMAGE)
        assert model.not_kept() == []
        assert (model(X).numpy() < 0).any()

    @pytest.mark.parametrize("own", [nn.Dense, nn.Conv2d, nn.ReLU, nn.Activation, nn.Linear])
    def test_a_layer_with_a_forward_of_its_own_is_called(self, own):
        class Doubled(own):
            def forward(self, x):
                return 2 * super().forward(x)

        def model(kind):
            first = {nn.Linear: (5, 4), nn.Conv2d: (4, 3)}.get(own, (4,))
            if own in (nn.Dense, nn.Linear, nn.Conv2d):
                return nn.Sequential([kind(*first), nn.ReLU()])
            return nn.Sequential([nn.Dense(4), kind(*["relu"] * (own is nn.Activation))])

        shape = (2, 5, 5) if own is nn.Conv2d else (5,)
        x = np.random.default_rng(1).standard_normal((3, *shape)).astype(np.float32)
        plain, doubled = (model(kind).build(shape, seed=1) for kind in (own, Doubled))
        assert (len(plain.stages()), len(doubled.stages())) == (1, 2)
        assert_same_bits(doubled(x).numpy(), 2 * plain(x).numpy())


def stages(*layers):
    return [name for name, _ in nn.Sequential(list(layers)).stages()]


class TestFoldingAPool:
    def test_names_of_the_stages(self):
        assert [name for name, _ in small().stages()] == [
            "conv1+relu1+pool1", "flatten1", "dense1+relu2", "dropout1", "dense2",
        ]  # fmt: skip
        assert stages(nn.Conv2d(4, 3, name="a"), nn.ReLU(), nn.MaxPool2d(name="b")) == ["a+relu1+b"]
        assert stages() == []

    def test_with_and_without_a_relu(self):
        assert stages(nn.Conv2d(4, 3), nn.MaxPool2d()) == ["conv1+pool1"]
        assert stages(nn.Conv2d(4, 3, activation="relu"), nn.MaxPool2d()) == ["conv1+pool1"]
        own = nn.Conv2d(4, 3, activation="relu")
        assert stages(own, nn.ReLU(), nn.MaxPool2d()) == ["conv1", "relu1", "pool1"]

    @pytest.mark.parametrize("activation", ["tanh", "gelu", "leaky_relu"])
    def test_not_after_another_activation(self, activation):
        assert stages(nn.Conv2d(4, 3, activation=activation), nn.MaxPool2d()) == ["conv1", "pool1"]
        found = stages(nn.Conv2d(4, 3), nn.Activation(activation), nn.MaxPool2d())
        assert len(found) == 3

    def test_what_follows_the_pool_stands_alone(self):
        assert stages(nn.Conv2d(4, 3), nn.MaxPool2d(), nn.MaxPool2d()) == ["conv1+pool1", "pool2"]
        assert stages(nn.Conv2d(4, 3), nn.MaxPool2d(), nn.ReLU()) == ["conv1+pool1", "relu1"]

    def test_other_layers_are_not_folded(self):
        assert stages(nn.Conv2d(4, 3), nn.AvgPool2d()) == ["conv1", "pool1"]
        assert stages(nn.Dense(4), nn.ReLU(), nn.MaxPool2d()) == ["dense1+relu1", "pool1"]
        assert stages(nn.MaxPool2d(), nn.ReLU()) == ["pool1", "relu1"]
        between = nn.Conv2d(4, 3), nn.BatchNorm2d(), nn.ReLU(), nn.MaxPool2d()
        assert stages(*between) == ["conv1", "batchnorm1", "relu1", "pool1"]
        inside = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU()]), nn.MaxPool2d()
        assert stages(*inside) == ["sequential1", "pool1"]

    def test_a_pool_or_a_convolution_of_ones_own_is_called(self):
        class Doubled(nn.MaxPool2d):
            def forward(self, x):
                return 2 * super().forward(x)

        class Plain(nn.Conv2d):
            def product(self, x, activation):
                return super().product(x, activation)

        models = [
            nn.Sequential([layer(4, 3, name="conv"), pool(2)]).build(IMAGE, seed=1)
            for layer, pool in ((nn.Conv2d, nn.MaxPool2d), (nn.Conv2d, Doubled), (Plain, Doubled))
        ]
        once, *twice = (model(X).numpy() for model in models)
        for y in twice:
            assert_same_bits(y, 2 * once)

    def test_what_is_not_kept(self):
        model = small()
        assert model.not_kept() == [model["conv1"], model["relu1"], model["relu2"]]

    def test_a_layer_added_later_is_folded_too(self):
        model = nn.Sequential([nn.Conv2d(4, 3)])
        model.add(nn.ReLU())
        model.add(nn.MaxPool2d(3, stride=2))
        assert [name for name, _ in model.stages()] == ["conv1+relu1+pool1"]
        assert model.build(IMAGE)(X).shape == (3, 4, 2, 2)

    def test_the_stages_one_after_the_other_are_the_model(self):
        model, x = small(seed=5).eval(), Tensor(X)
        for _, stage in model.stages():
            x = stage(x)
        assert_same_bits(x.numpy(), model(X).numpy())

    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize(
        "pool",
        [
            {"kernel_size": 2},
            {"kernel_size": 3, "stride": 2},
            {"kernel_size": (2, 3), "stride": (2, 1), "padding": ((1, 0), (1, 1))},
            {"kernel_size": 2, "padding": "same"},
        ],
    )
    @pytest.mark.parametrize("relu", [False, True])
    def test_the_numbers_are_those_of_the_layers_apart(self, backend, pool, relu, training):
        def model():
            between = [nn.ReLU()] if relu else []
            convolution = nn.Conv2d(5, 3, padding=1, stride=(1, 2))
            layers = [convolution, *between, nn.MaxPool2d(**pool), nn.Flatten(), nn.Dense(3)]
            return nn.Sequential(layers).build((2, 9, 15), seed=2, device=backend.name)

        rng = np.random.default_rng(3)
        x = rng.standard_normal((7, 2, 9, 15)).astype(np.float32)
        g = rng.standard_normal((7, 3)).astype(np.float32)
        folded, apart = model(), model()
        for each in (folded, apart):
            each.train() if training else each.eval()
        assert len(folded.stages()) == 3
        a, b = (Tensor(backend.asarray(x.copy()), requires_grad=True) for _ in range(2))
        together = folded(a)
        with apart.observe(lambda *_: None):  # every layer by itself
            alone = apart(b)
        assert_same_bits(together.numpy(), alone.numpy())
        together.backward(backend.asarray(g))
        alone.backward(backend.asarray(g))
        pairs = zip(folded.named_parameters().items(), apart.parameters(), strict=True)
        pairs = [("x", a, b)] + [(path, one, other) for (path, one), other in pairs]
        for path, one, other in pairs:
            # The sums may be cut in other places.
            got, want = (backend.to_numpy(tensor.grad) for tensor in (one, other))
            assert_close(got, want.astype(np.float64), 7 * 9 * 8, path)

    def test_an_observer_sees_every_layer(self):
        seen = []
        model = small()
        with model.observe(lambda module, inputs, output: seen.append((module.path, output.shape))):
            model(X)
        assert seen[:3] == [
            ("conv1", (3, 4, 6, 6)), ("relu1", (3, 4, 6, 6)), ("pool1", (3, 4, 3, 3)),
        ]  # fmt: skip
        assert model(X).shape == (3, 3)

    def test_errors_name_the_layer(self):
        model = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.MaxPool2d(5)])
        with pytest.raises(ShapeError, match="pool1"):
            model.build((2, 6, 6))
        model = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.MaxPool2d(2)])
        with pytest.raises(ShapeError, match="conv1"):
            model.build((2, 2, 8))
        model.build(IMAGE)
        with pytest.raises(ShapeError, match="conv1"):
            model(np.zeros((3, 3, 8, 8), np.float32))

    def test_an_image_that_only_the_pool_refuses(self):
        """The layers of a model take images of other sizes than those that it was built for."""
        model = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.MaxPool2d(4)]).build(IMAGE)
        for run in (model, lambda x: _observed(model, x)):
            with pytest.raises(ShapeError) as caught:
                run(np.zeros((3, 2, 5, 5), np.float32))
            assert "pool1" in str(caught.value)
            assert "conv1" not in caught.value.message


def _observed(model, x):
    with model.observe(lambda *_: None):
        return model(x)


class TestInputShape:
    def test_of_the_first_layer_builds_the_model(self):
        model = nn.Sequential([nn.Sequential([nn.Conv2d(4, 3, input_shape=IMAGE)]), nn.Flatten()])
        assert model.num_parameters == 4 * 2 * 9 + 4
        assert model.build().built_for == (IMAGE,)

    def test_that_contradicts_the_input(self):
        model = nn.Sequential([nn.Flatten(), nn.Linear(100, 10)])
        with pytest.raises(ShapeError) as caught:
            model.build(IMAGE)
        assert caught.value.message == (
            "dense1 (Linear): the input is (1, 128), input_shape says (100,)"
        )
        assert caught.value.fix == "give input_shape=(128,), or leave it out"

    def test_missing(self):
        with pytest.raises(UsageError, match="Sequential is not built"):
            nn.Sequential([nn.Dense(3)]).parameters()
        with pytest.raises(UsageError, match="Sequential is not built"):
            nn.Sequential().parameters()


class TestErrors:
    def test_duplicate_names(self):
        with pytest.raises(UsageError, match="the name 'a' cannot be used") as caught:
            nn.Sequential([nn.Dense(1, name="a"), nn.Dense(2, name="a")])
        assert caught.value.cause == "layer 'a' is there already"
        with pytest.raises(UsageError, match="'dense2'"):
            nn.Sequential([nn.Dense(1, name="dense2"), nn.Dense(2)])

    def test_a_dot_in_a_name(self):
        with pytest.raises(UsageError, match=r"the name 'a\.b' cannot be used"):
            nn.Sequential([nn.Dense(1, name="a.b")])

    def test_adding_to_a_built_model(self):
        with pytest.raises(UsageError, match="added to Sequential after it was built"):
            small().add(nn.ReLU())

    def test_layers_that_are_no_list(self):
        a, b = nn.Flatten(), nn.Dense(2)
        for wrong in ((a,), (a, b), (a, b, nn.ReLU()), (nn.Sequential([a]),), (3,), (False,)):
            with pytest.raises(UsageError, match="as one list") as caught:
                nn.Sequential(*wrong)
            assert "Sequential([a, b])" in caught.value.fix

    def test_something_that_is_no_layer(self):
        with pytest.raises(UsageError, match="is not a layer") as caught:
            nn.Sequential([nn.Flatten])
        assert caught.value.fix == "write Flatten(...)"
        with pytest.raises(UsageError, match="3 is not a layer"):
            nn.Sequential([3])


def test_a_built_model_goes_on_inside_another():
    base = nn.Sequential([nn.Flatten(), nn.Dense(6)], name="base").build(IMAGE, seed=8)
    weight = base["dense1"].weight.numpy().copy()
    whole = nn.Sequential([base.freeze(), nn.ReLU(), nn.Dense(2)]).build(IMAGE, seed=9)
    assert list(whole.named_parameters().keys()) == [
        "base.dense1.weight", "base.dense1.bias", "dense1.weight", "dense1.bias",
    ]  # fmt: skip
    assert_same_bits(whole.state_dict()["base.dense1.weight"], weight)
    assert base["dense1"].weight.name == "base.dense1.weight"
    trainable = [path for path, p in whole.named_parameters().items() if p.requires_grad]
    assert trainable == ["dense1.weight", "dense1.bias"]


def test_a_layer_that_is_not_there():
    model = nn.Sequential([nn.Flatten(), nn.Dense(2, name="head")])
    assert model["head"] is model[1] is model[-1]
    for key in (2, -3, "tail", None, 1.0):
        with pytest.raises(UsageError, match=f"Sequential has no layer {key!r}") as caught:
            model[key]
        assert isinstance(caught.value, IndexError)
        assert isinstance(caught.value, KeyError)
        assert "flatten1, head" in caught.value.cause


def test_a_layer_is_no_attribute():
    model = nn.Sequential([nn.Conv2d(4, 3), nn.Dense(2, name="head")])
    for name in ("conv1", "head"):
        assert not hasattr(model, name)
        with pytest.raises(UnknownNameError, match=f"a Sequential has no {name}") as caught:
            getattr(model, name)
        assert caught.value.fix == f'write model["{name}"]'
    with pytest.raises(AttributeError, match="no attribute 'conv2'"):
        model.conv2  # noqa: B018


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_parameters_before_the_layer_is_built(name):
    for layer in (nn.Conv2d(4, 3), nn.Dense(2), nn.ReLU()):
        assert not hasattr(layer, name)
        with pytest.raises(UnknownNameError, match=f"has no {name}") as caught:
            getattr(layer, name)
        assert "once they are built" in caught.value.fix
    assert hasattr(nn.Conv2d(4, 3).build((1, 5, 5)), name)
