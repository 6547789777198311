"""Modules of one's own: finding, naming, building, freezing, saving, errors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn import nn, optim
from gpucnn.autograd import Tensor, is_grad_enabled
from gpucnn.errors import ShapeError, SignatureError, UsageError, WeightsMismatchError
from gpucnn.functions import softmax_cross_entropy


class Scale(nn.Module):
    """The layer of module.py's introduction."""

    def create(self, x_shape):
        self.gain = self.new_parameter("gain", (x_shape[1],), "ones")

    def forward(self, x):
        return x * self.gain


class Net(nn.Module):
    """Attributes in another order than calls, a list, a module used twice, a direct parameter."""

    def __init__(self):
        self.head = nn.Dense(2)
        self.offset = nn.Parameter(np.full(2, 0.5, np.float32))
        self.blocks = [nn.Dense(4, activation="relu"), nn.Dense(4)]
        self.scale = Scale()

    def forward(self, x):
        x = self.scale(self.blocks[0](x))
        x = self.scale(x + self.blocks[1](x))
        return self.head(x) + self.offset


SHAPES = {
    "offset": (2,),
    "head.weight": (4, 2),
    "head.bias": (2,),
    "blocks.0.weight": (3, 4),
    "blocks.0.bias": (4,),
    "blocks.1.weight": (4, 4),
    "blocks.1.bias": (4,),
    "scale.gain": (4,),
}
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def net(backend):
    return Net().build((3,), seed=1, device=backend.name)


def test_parameters_are_found_in_order_and_once(net):
    assert {path: p.shape for path, p in net.named_parameters().items()} == SHAPES
    assert list(net.named_parameters().keys()) == list(SHAPES)
    assert [p.name for p in net.parameters()] == list(SHAPES)
    assert net.num_parameters == sum(int(np.prod(shape)) for shape in SHAPES.values())
    assert list(net.modules().keys()) == ["", "head", "blocks.0", "blocks.1", "scale"]


def test_parameters_are_unpacked_in_a_loop_and_asked_for_by_path(net):
    named = net.named_parameters()
    for path, parameter in named:
        assert parameter.name == path
        assert named[path] is parameter
        assert path in named
    pairs = list(zip(SHAPES, net.parameters(), strict=True))
    assert list(named) == list(named.items()) == pairs
    assert list(reversed(named)) == pairs[::-1]
    assert len(named) == len(SHAPES)
    for plain in (dict(named), {**named}, named | {}, named.copy()):
        assert list(plain.items()) == pairs
        assert plain == named
    assert list(named.keys()) == list(SHAPES)
    assert type(net.parameters()) is list


def test_a_loop_over_modules_gets_them(net):
    paths = ["", "head", "blocks.0", "blocks.1", "scale"]
    modules = [net, net.head, *net.blocks, net.scale]
    assert list(net.modules()) == modules
    assert list(net.named_modules()) == list(zip(paths, modules, strict=True))
    assert list(net.children()) == modules[1:]
    assert list(net.named_children()) == list(zip(paths[1:], modules[1:], strict=True))
    assert list(reversed(net.children())) == modules[:0:-1]
    dense = [m for m in net.modules() if isinstance(m, nn.Dense)]
    assert dense == [net.head, *net.blocks]
    for found in (net.modules(), net.named_modules()):
        assert (len(found), found["blocks.1"]) == (5, net.blocks[1])
        assert "head" in found
        assert dict(found) == {**found} == dict(zip(paths, modules, strict=True))
    assert net.head in net.children()
    assert nn.Dense(2) not in net.modules()
    assert [1] not in net.modules()
    for found in (net.children(), net.named_children()):
        for key in (0, "nothing"):
            with pytest.raises(KeyError) as caught:
                found[key]
            assert "list(found)[0]" in caught.value.fix
    model = nn.Sequential([nn.Flatten(), nn.Dense(2)])
    assert list(model.children()) == list(model) == list(model.modules())[1:]


def test_an_optimizer_takes_named_parameters(net, backend):
    for given in (net, net.named_parameters(), dict(net.named_parameters())):
        optimizer = optim.SGD(given, 0.1)
        assert list(optimizer.parameters) == list(SHAPES)


def test_forward_and_backward_go_through_the_tree(net, backend):
    s = {path: array.astype(np.float64) for path, array in net.state_dict().items()}
    hidden = np.maximum(X @ s["blocks.0.weight"], 0)
    after = hidden + hidden @ s["blocks.1.weight"]
    expected = after @ s["head.weight"] + 0.5
    output = net(backend.asarray(X))
    np.testing.assert_allclose(output.numpy(), expected, rtol=1e-5, atol=1e-6)
    output.sum().backward()
    by_path = net.named_parameters()
    np.testing.assert_array_equal(backend.to_numpy(by_path["offset"].grad), [2, 2])
    # The gain was used twice: its gradient is the sum over both calls.
    by_gain = after * s["head.weight"].sum(1) + hidden * (
        s["head.weight"].sum(1) + s["blocks.1.weight"] @ s["head.weight"].sum(1)
    )
    np.testing.assert_allclose(
        backend.to_numpy(by_path["scale.gain"].grad), by_gain.sum(0), rtol=1e-4
    )


class TestContainers:
    """Modules, parameters and constants in lists, tuples and dicts within each other."""

    class Nested(nn.Module):
        def __init__(self):
            self.branches = {"left": [nn.Dense(2), (nn.Dense(2),)], "right": nn.BatchNorm2d()}
            self.gains = [nn.Parameter(np.ones(2, np.float32))]
            self.more = {"shift": {"by": nn.Parameter(np.zeros(2, np.float32))}}
            self.constants = ({"two": Tensor(np.full(2, 2, np.float32))},)

        def forward(self, x):
            first, (second,) = self.branches["left"]
            y = second(first(x)) * self.gains[0] + self.more["shift"]["by"]
            return self.branches["right"](y.reshape(-1, 2, 1, 1)) * self.constants[0]["two"].sum()

    def test_all_are_found(self):
        nested = self.Nested().build((3,))
        dense = ["weight", "bias"]
        left = [f"branches.left.{i}.{name}" for i in ("0", "1.0") for name in dense]
        norm = [f"branches.right.{name}" for name in ("gamma", "beta")]
        assert list(nested.named_parameters().keys()) == ["gains.0", "more.shift.by", *left, *norm]
        statistics = [f"branches.right.{name}" for name in ("running_mean", "running_var")]
        assert list(nested.state_dict())[-2:] == statistics
        assert list(nested.children().keys()) == [
            "branches.left.0",
            "branches.left.1.0",
            "branches.right",
        ]
        rows = {row.layer: row.parameters for row in nested.summary_rows()}
        assert rows[""] == 4
        assert sum(rows.values()) == nested.num_parameters

    def test_all_are_frozen_and_trained(self):
        nested = self.Nested().build((3,))
        nested.freeze()
        assert not any(p.requires_grad for p in nested.parameters())
        nested.freeze(False)
        nested(X).sum().backward()
        assert all(p.grad is not None for p in nested.parameters())

    def test_all_are_moved(self, monkeypatch):
        there = SimpleNamespace(name="elsewhere", asarray=lambda array: array.copy())
        host = backends.get("cpu")
        nested = self.Nested().build((3,))
        tensors = [*nested.parameters(), nested.constants[0]["two"]]
        before = [tensor.data for tensor in tensors]
        both = SimpleNamespace(get=lambda _: there, of=lambda _: host)
        monkeypatch.setattr("gpucnn.nn.state.backends", both)
        nested.to("elsewhere")
        assert all(t.data is not array for t, array in zip(tensors, before, strict=True))

    def test_one_name_for_two_is_an_error(self):
        module = nn.Module()
        module.parts = {1: nn.ReLU(), "1": nn.ReLU()}
        with pytest.raises(UsageError, match=r"two different 'parts\.1'"):
            module.children()


def test_a_module_under_two_names_is_one():
    class Tied(nn.Module):
        def __init__(self):
            self.first = self.second = nn.Dense(3)
            self.gain = self.again = nn.Parameter(np.ones(3, np.float32))

        def forward(self, x):
            return self.second(self.first(x)) * self.gain

    tied = Tied().build((3,))
    assert list(tied.modules().keys()) == ["", "first"]
    assert list(tied.state_dict()) == ["gain", "first.weight", "first.bias"]


def test_building_runs_one_sample_of_zeros_outside_the_graph_and_in_evaluation_mode():
    class Spy(nn.Module):
        def forward(self, x):
            self.seen = x.numpy().tolist(), is_grad_enabled(), self.training
            return x

    assert Spy().build((2,)).seen == ([[0, 0]], False, False)


def test_calling_an_unbuilt_module_builds_it(backend):
    called, built = Net(), Net().build((3,), seed=0, device=backend.name)
    called(backend.asarray(X))
    for path, array in built.state_dict().items():
        assert called.state_dict()[path].tobytes() == array.tobytes(), path


def test_building_again_changes_nothing(net):
    before = net.state_dict()
    assert net.build((3,), seed=9) is net
    assert net.build() is net
    for path, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def test_building_for_another_shape_is_an_error(net):
    with pytest.raises(ShapeError, match=r"Net is built for inputs of \(3,\), not of \(5,\)"):
        net.build((5,))


def test_a_replaced_layer_is_built_and_the_others_stay(net):
    before = net.state_dict()
    net.head = nn.Dense(2)
    net.build((3,), seed=4)
    after = net.state_dict()
    assert list(after) == list(before)
    changed = [path for path in before if (before[path] != after[path]).any()]
    assert changed == ["head.weight"]


@pytest.mark.parametrize("called", [False, True])
def test_a_replaced_layer_is_trained_and_saved(net, backend, called):
    """PyTorch's transfer learning: a new head, and an optimizer of `parameters()`."""
    x, labels = backend.asarray(X), backend.asarray(np.array([0, 4]))
    net.head, net.offset = nn.Dense(5), nn.Parameter(backend.asarray(np.zeros(5, np.float32)))
    if called:
        net(x)
    optimizer = optim.SGD(net.parameters(), 0.1)
    assert list(net.state_dict()) == list(SHAPES)
    assert net.state_dict()["head.weight"].shape == (4, 5)
    before = net.head.weight.numpy().copy()
    softmax_cross_entropy(net(x), labels).backward()
    optimizer.step()
    assert (net.head.weight.numpy() != before).any()


def test_a_replaced_layer_is_built_as_the_network_was(backend):
    """With its seed and on its device; and a part of a network keeps its place in it."""
    wide = [Net().build((3,), seed=7, device=backend.name) for _ in range(3)]
    for net in wide[1:]:
        net.head = nn.Dense(2)
    wide[1].build(seed=7, device=backend.name)
    for path, array in wide[2].state_dict().items():
        np.testing.assert_array_equal(array, wide[0].state_dict()[path])
        np.testing.assert_array_equal(array, wide[1].state_dict()[path])
    assert wide[2].head.device == backend.name
    outer = nn.Module()
    outer.part = Net()
    outer.forward = outer.part.forward
    outer.part(X)  # so that it knows its input; it is renamed by the network around it
    outer.build((3,))
    outer.part.head = nn.Dense(2)
    assert [p.name for p in outer.part.parameters()] == [f"part.{path}" for path in SHAPES]
    assert outer.part.head.path == "part.head"


def test_a_layer_that_was_put_in_and_is_not_called_is_an_error(net):
    net.extra = nn.Dense(4)
    for use in (net.parameters, net.state_dict, lambda: optim.SGD(net)):
        with pytest.raises(UsageError, match=r"extra \(Dense\) has no parameters yet"):
            use()


def test_a_failed_build_leaves_no_trace():
    net = nn.Sequential([nn.Flatten(), nn.Dense(4), nn.Conv2d(2, 3)])
    with pytest.raises(ShapeError):
        net.build((3, 3))
    assert net.path is None
    with pytest.raises(UsageError, match="not built"):
        net.parameters()
    assert not hasattr(net[1], "weight")


def test_building_leaves_the_modes_as_they_are():
    model = nn.Sequential([nn.Dropout(0.5), nn.Dropout(0.5)])
    model[0].eval()
    model.build((3,))
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_a_layer_that_is_never_called_is_an_error():
    class Forgetful(Net):
        def forward(self, x):
            return self.blocks[0](x)

    with pytest.raises(UsageError, match=r"head \(Dense\) has no parameters yet"):
        Forgetful().build((3,))


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.parameters(),
        lambda model: model.state_dict(),
        lambda model: model.load_state_dict({}),
        lambda model: model.num_parameters,
        lambda model: model.summary(),
        lambda model: model.to("cpu"),
        lambda model: model.set_step(1),
        lambda model: model.build(),
    ],
)
def test_what_needs_a_built_module_says_so(use):
    with pytest.raises(UsageError, match=r"Net is not built") as caught:
        use(Net())
    assert "model.build((1, 28, 28))" in caught.value.fix


def test_inputs_are_arrays_and_the_rest_is_given_by_name():
    class Masked(nn.Module):
        def __init__(self):
            self.dense = nn.Dense(2)

        def forward(self, x, mask=None, scale=1.0):
            y = self.dense(x) * scale
            return y if mask is None else y * mask

    for built in (Masked(), Masked().build((3,))):
        with pytest.raises(UsageError, match="None is given to a layer") as caught:
            built(X, None)
        assert "net(x, mask=None)" in caught.value.fix
    with pytest.raises(UsageError, match="a number is given to Masked by position") as caught:
        Masked()(X, 2.0)
    assert "net(x, scale=2.0)" in caught.value.fix
    np.testing.assert_allclose(built(X, mask=None, scale=2.0).numpy(), 2 * built(X).numpy())


def test_a_forward_that_forgets_to_return():
    class Inner(nn.Module):
        def forward(self, x):
            x * 2

    for use in (lambda: Inner().build((3,)), lambda: Inner()(X)):
        with pytest.raises(UsageError, match="forward of Inner returned nothing"):
            use()
    with pytest.raises(UsageError, match=r"forward of inner1 \(Inner\) returned nothing"):
        nn.Sequential([Inner()]).build((3,))


@pytest.mark.parametrize(
    ("use", "message", "fix"),
    [
        (lambda net: net.load_state_dict(None), "is a NoneType", "state_dict()"),
        (lambda net: net.load_state_dict([1]), "is a list", "state_dict()"),
        (lambda net: net.set_weights(None), "is a NoneType", "get_weights()"),
        (lambda net: net.set_weights({}), "is a dict", "get_weights()"),
    ],
)
def test_weights_of_another_kind(net, use, message, fix):
    with pytest.raises(UsageError, match=f"what holds the weights.* {message}") as caught:
        use(net)
    assert fix in caught.value.fix


def test_weights_may_be_lists_and_are_always_strict():
    net = nn.Dense(1).build((2,))
    net.load_state_dict({"weight": [[1.0], [2.0]], "bias": [0.5]})
    assert net([[1.0, 1.0]]).item() == 3.5
    with pytest.raises(WeightsMismatchError, match="1 of another shape"):
        net.load_state_dict({"weight": [1.0, 2.0], "bias": [0.5]})
    with pytest.raises(SignatureError, match="there is no strict: what does not fit"):
        net.load_state_dict({}, strict=False)


def test_several_inputs():
    class Both(nn.Module):
        def __init__(self):
            self.left, self.right = nn.Dense(2), nn.Dense(2)

        def forward(self, a, b):
            return self.left(a) + self.right(b)

    both = Both().build((3,), (5,))
    assert both.num_parameters == 3 * 2 + 2 + 5 * 2 + 2
    assert both(np.zeros((4, 3), np.float32), np.zeros((4, 5), np.float32)).shape == (4, 2)
    assert both.built_for == ((3,), (5,))


def test_a_module_without_forward():
    with pytest.raises(NotImplementedError, match="Empty must define forward"):
        type("Empty", (nn.Module,), {})()(X)


class TestModes:
    def test_train_and_eval_reach_the_whole_tree(self, net):
        assert all(not module.training for module in net.eval().modules().values())
        assert all(module.training for module in net.train().modules().values())

    def test_evaluating_gives_each_module_its_mode_back(self, net):
        net.head.eval()
        with net.evaluating():
            assert not any(module.training for module in net.modules().values())
        assert [path for path, m in net.modules().items() if not m.training] == ["head"]

    def test_freezing(self, net, backend):
        net.blocks[0].freeze()
        net(backend.asarray(X)).sum().backward()
        frozen = [path for path, p in net.named_parameters().items() if p.grad is None]
        assert frozen == ["blocks.0.weight", "blocks.0.bias"]
        net.blocks[0].freeze(False)
        net(backend.asarray(X)).sum().backward()
        assert all(p.grad is not None for p in net.parameters())

    def test_freezing_one_parameter(self, net, backend):
        net.scale.gain.requires_grad = False
        net(backend.asarray(X)).sum().backward()
        without = [path for path, p in net.named_parameters().items() if p.grad is None]
        assert without == ["scale.gain"]

    def test_freezing_before_building(self):
        net = Net()
        net.head.freeze()
        net.build((3,))
        frozen = [path for path, p in net.named_parameters().items() if not p.requires_grad]
        assert frozen == ["head.weight", "head.bias"]


class TestState:
    def test_round_trip(self, net, backend):
        other = Net().build((3,), seed=2, device=backend.name)
        arrays = [p.data for p in other.parameters()]
        assert (other(backend.asarray(X)).numpy() != net(backend.asarray(X)).numpy()).all()
        other.load_state_dict(net.state_dict())
        np.testing.assert_array_equal(
            other(backend.asarray(X)).numpy(), net(backend.asarray(X)).numpy()
        )
        # In place: an optimizer that holds the arrays goes on with the loaded numbers.
        assert all(p.data is array for p, array in zip(other.parameters(), arrays, strict=True))

    def test_is_a_copy_on_the_host(self, net):
        state = net.state_dict()
        state["offset"][:] = 7
        assert all(type(array) is np.ndarray for array in state.values())
        assert (net.state_dict()["offset"] == 0.5).all()

    def test_of_another_model_is_refused_whole(self, net):
        before = net.state_dict()
        state = net.state_dict() | {"tail.weight": np.zeros(3), "offset": np.zeros(3)}
        del state["scale.gain"]
        with pytest.raises(WeightsMismatchError) as caught:
            net.load_state_dict(state)
        assert caught.value.message == (
            "the weights for Net do not fit: 1 missing, 1 unexpected, 1 of another shape"
        )
        assert caught.value.cause == (
            "missing: scale.gain; unexpected: tail.weight; "
            "wrong shape: offset is (3,) instead of (2,)"
        )
        for path, array in net.state_dict().items():
            np.testing.assert_array_equal(array, before[path])

    def test_a_long_list_is_cut(self, net):
        with pytest.raises(WeightsMismatchError, match="and 12 more"):
            net.load_state_dict(net.state_dict() | {f"extra{i}": np.zeros(1) for i in range(20)})

    def test_to_the_same_device_keeps_the_arrays(self, net, backend):
        arrays = [p.data for p in net.parameters()]
        assert net.to(backend.name) is net
        assert all(p.data is array for p, array in zip(net.parameters(), arrays, strict=True))

    def test_to_another_device_moves_all_arrays(self, monkeypatch):
        class Elsewhere(np.ndarray):
            pass

        host = backends.get("cpu")
        there = SimpleNamespace(
            name="elsewhere", asarray=lambda array: array.copy().view(Elsewhere)
        )
        both = SimpleNamespace(
            get=lambda device: there if device == "elsewhere" else host,
            of=lambda array: there if isinstance(array, Elsewhere) else host,
        )
        monkeypatch.setattr("gpucnn.nn.state.backends", both)
        model = nn.Sequential([nn.BatchNorm2d(), nn.Dropout(0.5), nn.Flatten(), nn.Dense(2)])
        model.build((2, 3, 3))
        model(np.ones((2, 2, 3, 3), np.float32)).sum().backward()
        model.to("elsewhere")
        norm, dropout = model["batchnorm1"], model["dropout1"]
        moved = [p.data for p in model.parameters()]
        moved += [norm.running_mean, norm.running_var, dropout.step]
        assert all(type(array) is Elsewhere for array in moved)
        assert all(p.grad is None for p in model.parameters())
        assert int(dropout.step[0]) == 1
        assert {module.device for module in model.modules().values()} == {"elsewhere"}

    def test_to_an_unknown_device(self, net):
        with pytest.raises(UsageError, match="unknown device 'tpu'"):
            net.to("tpu")


class TestShapeErrors:
    def test_the_path_is_named_once(self):
        body = nn.Sequential([nn.Flatten(), nn.Dense(4), nn.Conv2d(2, 3)])
        with pytest.raises(ShapeError) as caught:
            nn.Sequential([nn.Residual(body)]).build((1, 8, 8))
        error = caught.value
        assert error.message == "residual1.body.conv1 (Conv2d): the input is (1, 4)"
        assert str(error).count("conv1") == 1
        assert error.cause == "it must be (N, C, H, W)"
        assert "reshape" in error.fix

    def test_after_building(self, net):
        with pytest.raises(ShapeError) as caught:
            net(np.zeros((2, 5), np.float32))
        error = caught.value
        assert error.message == "blocks.0 (Dense): the input is (2, 5), the weight (3, 4)"
        assert str(error).count("blocks.0") == 1
        assert error.fix == "give an input of shape (2, 3), or build a new model"

    def test_a_lone_layer_is_named_by_its_type(self):
        with pytest.raises(ShapeError, match=r"^Dense: the input is \(1, 2, 3\)"):
            nn.Dense(4).build((2, 3))
        with pytest.raises(ShapeError, match=r"^head \(Dense\): the input is"):
            nn.Dense(4, name="head").build((2, 3))

    def test_of_a_custom_module(self):
        class Wrong(nn.Module):
            def forward(self, x):
                return x.reshape(-1, 7)

        with pytest.raises(ShapeError, match=r"^wrong1 \(Wrong\): "):
            nn.Sequential([Wrong()]).build((3,))


def test_observing_sees_each_call_and_then_stops(net, backend):
    seen = []
    with net.observe(lambda module, inputs, output: seen.append((module.path, output.shape))):
        net(backend.asarray(X))
    assert seen == [
        ("blocks.0", (2, 4)),
        ("scale", (2, 4)),
        ("blocks.1", (2, 4)),
        ("scale", (2, 4)),
        ("head", (2, 2)),
        ("", (2, 2)),
    ]
    net(backend.asarray(X))
    assert len(seen) == 6


def test_constant_tensors_follow_to_a_device_but_are_not_saved(backend):
    class Shift(nn.Module):
        def __init__(self):
            self.by = Tensor(backend.asarray(np.ones(3, np.float32)))

        def forward(self, x):
            return x + self.by

    shift = Shift().build((3,), device=backend.name)
    assert shift.state_dict() == {}
    np.testing.assert_array_equal(shift(backend.asarray(X)).numpy(), X + 1)
