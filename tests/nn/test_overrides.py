"""Modes and observers hold for the thread that sets them, and for one model."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from checks import assert_same_bits

from gpucnn import nn
from gpucnn.errors import ShapeError
from gpucnn.nn.overrides import local

X = np.random.default_rng(3).standard_normal((4, 6)).astype(np.float32)


class Wait(nn.Module):
    """Lets threads go on when so many of them are in it."""

    def __init__(self, count):
        super().__init__()
        self.barrier = threading.Barrier(count, timeout=20)

    def forward(self, x):
        self.barrier.wait()
        return x


def together(*functions):
    """What the functions give, each in a thread of its own."""
    results = [None] * len(functions)
    errors = []

    def run(index, function):
        try:
            results[index] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
    return results


def dropping(seed=1, **options):
    return nn.Sequential([nn.Dense(6), nn.Dropout(0.5), nn.Dense(3)], **options).build(
        (6,), seed=seed
    )


def modes(net):
    return {module.training for module in net.modules().values()}


class TestMode:
    def test_holds_for_the_tree_and_then_no_more(self):
        net, other = dropping(), dropping()
        with net.evaluating():
            assert modes(net) == {False}
            assert modes(other) == {True}
            with other.evaluating():
                assert modes(net) | modes(other) == {False}
            assert modes(other) == {True}
        assert modes(net) == {True}
        assert local.training == []

    def test_of_a_part_of_a_model(self):
        net = dropping()
        with net[1].evaluating():
            assert [layer.training for layer in net] == [True, False, True]

    def test_the_last_one_wins(self):
        net = dropping().eval()
        with net.training_mode():
            assert modes(net) == {True}
            with net.evaluating():
                assert modes(net) == {False}
                with net.training_mode():
                    assert modes(net) == {True}
                assert modes(net) == {False}
            assert modes(net) == {True}
        assert modes(net) == {False}

    def test_leaving_in_another_order(self):
        net = dropping()

        def inside(context):
            with context():
                yield

        first, second = inside(net.evaluating), inside(net.training_mode)
        next(first)
        next(second)
        first.close()
        assert modes(net) == {True}
        net.eval()
        assert modes(net) == {True}
        second.close()
        assert modes(net) == {False}
        assert local.training == []

    def test_ends_with_an_error(self):
        net = dropping()
        with pytest.raises(ShapeError), net.evaluating():
            net(X[:, :2])
        assert modes(net) == {True}

    def test_does_not_touch_what_is_set(self):
        net = dropping()
        net[1].eval()
        with net.training_mode():
            net[2].eval()  # takes hold afterwards
            assert modes(net) == {True}
        assert [layer.training for layer in net] == [True, False, False]

    def test_is_what_dropout_and_batch_norm_go_by(self):
        net = nn.Sequential([nn.Dropout(0.5), nn.BatchNorm2d()]).build((2, 3, 3))
        x = np.random.default_rng(1).standard_normal((4, 2, 3, 3)).astype(np.float32)
        before = net.state_dict()
        with net.evaluating():
            net(x)
        assert int(net[0].step[0]) == 0
        for path, array in net.state_dict().items():
            assert_same_bits(array, before[path], path)
        with net.eval().training_mode():
            net(x)
        assert int(net[0].step[0]) == 1
        assert (net.state_dict()["batchnorm1.running_mean"] != 0).all()

    def test_of_one_thread_is_not_seen_by_another(self):
        """Two are in the same layer at once, one in each mode."""
        net = nn.Sequential([Wait(2), nn.Dropout(0.5), nn.Dense(3), Wait(2)])
        net["wait1"].barrier = net["wait2"].barrier = threading.Barrier(1, timeout=20)
        net.build((6,), seed=1)
        with net.evaluating():
            evaluated = net(X).numpy()
        trained = net(X).numpy()
        assert (evaluated != trained).any()
        net.set_step(0)
        net["wait1"].barrier = net["wait2"].barrier = threading.Barrier(2, timeout=20)

        def evaluate():
            with net.evaluating():
                return net(X).numpy()

        def train():
            with net.training_mode():
                return net(X).numpy()

        one, other = together(evaluate, train)
        assert_same_bits(one, evaluated)
        assert_same_bits(other, trained)


class TestObserver:
    def test_sees_the_calls_of_its_thread(self):
        net = nn.Sequential([Wait(1), nn.Dense(3), nn.ReLU()]).build((6,))
        net["wait1"].barrier = threading.Barrier(2, timeout=20)

        def observe():
            seen = []
            with net.observe(lambda module, inputs, output: seen.append(inputs[0].shape[0])):
                net(X)
            return seen

        seen, _ = together(observe, lambda: net(X[:1]))
        assert seen == [4] * 4  # each layer, and the model

    def test_one_inside_another_is_the_one_that_is_called(self):
        net, first, second = dropping(), [], []
        with net.observe(lambda *call: first.append(call)):
            with net.observe(lambda *call: second.append(call)):
                net(X)
            assert (len(first), len(second)) == (0, 4)
            net(X)
        assert (len(first), len(second)) == (4, 4)
        assert net.observer is None

    def test_summaries_of_one_model_at_once(self):
        net = nn.Sequential([Wait(1), nn.Dense(3), nn.ReLU()]).build((6,))
        alone = net.summary()
        net["wait1"].barrier = threading.Barrier(3, timeout=20)
        assert together(net.summary, net.summary, net.summary) == [alone] * 3


class TestBuildingInTwoThreads:
    class Slow(nn.Dense):
        """Creates its parameters only when the other thread has had its time."""

        created = 0

        def create(self, x_shape):
            self.created += 1
            threading.Event().wait(0.05)
            super().create(x_shape)

    @pytest.mark.parametrize("depth", [0, 1])
    def test_one_builds_and_both_get_the_same(self, depth):
        def network(layer):
            layers = [layer(4), nn.ReLU(), layer(3)]
            return nn.Sequential([nn.Sequential(layers)] if depth else layers)

        expected = network(nn.Dense)(X).numpy()
        for _ in range(5):
            net = network(self.Slow)
            start = threading.Barrier(3, timeout=20)

            def call(net=net, start=start):
                start.wait()
                return net(X).numpy()

            for output in together(call, call, call):
                assert_same_bits(output, expected)
            slow = [m for m in net.modules().values() if isinstance(m, self.Slow)]
            assert [m.created for m in slow] == [1, 1]
