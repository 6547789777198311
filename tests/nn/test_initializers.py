"""Initial values: ranges and moments of the formulas, one stream for each parameter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpucnn import nn, random
from gpucnn.errors import UsageError
from gpucnn.nn import initializers

SHAPE, FAN_IN, FAN_OUT = (300, 200), 300, 200
STD = {
    "normal": 0.05,
    "glorot_uniform": math.sqrt(2 / 500),
    "glorot_normal": math.sqrt(2 / 500),
    "he_uniform": math.sqrt(2 / 300),
    "he_normal": math.sqrt(2 / 300),
    "uniform": 0.05 / math.sqrt(3),
}


def draw(initializer, seed=0, stream="init/a"):
    return initializers.get(initializer)(SHAPE, FAN_IN, FAN_OUT, seed, stream)


@pytest.mark.parametrize("name", STD)
def test_moments(name):
    values = draw(name)
    assert values.dtype == np.float32
    assert values.shape == SHAPE
    # Five standard errors of the mean and of the standard deviation over 60,000 values.
    assert abs(values.mean()) < 5 * STD[name] / math.sqrt(values.size)
    assert values.std() == pytest.approx(STD[name], rel=5 / math.sqrt(values.size))


@pytest.mark.parametrize("name", ["uniform", "glorot_uniform", "he_uniform"])
def test_uniform_fills_its_interval(name):
    limit = math.sqrt(3) * STD[name]
    largest = np.abs(draw(name)).max()
    assert 0.999 * limit < largest <= limit * (1 + 1e-6)


@pytest.mark.parametrize("name", ["glorot_normal", "he_normal"])
def test_normal_has_tails_beyond_the_uniforms_limit(name):
    assert np.abs(draw(name)).max() > 3 * STD[name]


def test_truncated_normal_ends_at_two_deviations():
    largest = np.abs(draw(initializers.Normal(0.1, truncated=True))).max()
    assert 0.199 < largest <= 0.2 + 1e-7


def test_constants():
    assert (draw("zeros") == 0).all()
    assert (draw("ones") == 1).all()
    assert (draw(initializers.Constant(0.25)) == 0.25).all()


def test_one_seed_and_stream_give_one_set_of_bits():
    assert draw("he_normal").tobytes() == draw("he_normal").tobytes()
    assert draw("he_normal").tobytes() != draw("he_normal", seed=1).tobytes()
    assert draw("he_normal").tobytes() != draw("he_normal", stream="init/b").tobytes()


def test_a_layer_draws_from_the_stream_of_its_path():
    model = nn.Sequential([nn.Sequential([nn.Dense(4, name="head")], name="body")])
    model.build((3,), seed=5)
    limit = math.sqrt(6 / 7)
    expected = random.uniform((3, 4), 5, "init/body.head.weight", low=-limit, high=limit)
    np.testing.assert_array_equal(model.state_dict()["body.head.weight"], expected)


def test_a_function_may_initialize():
    def ramp(shape, fan_in, fan_out, seed, stream):
        assert (fan_in, fan_out, seed, stream) == (2 * 9, 4 * 9, 7, "init/conv1.weight")
        return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)

    conv = nn.Conv2d(4, 3, kernel_initializer=ramp, bias_initializer=initializers.Constant(2.0))
    state = nn.Sequential([conv]).build((2, 5, 5), seed=7).state_dict()
    np.testing.assert_array_equal(state["conv1.weight"].reshape(-1), np.arange(72))
    np.testing.assert_array_equal(state["conv1.bias"], [2, 2, 2, 2])


def test_fan_in_of_a_grouped_convolution():
    seen = []

    def spy(shape, fan_in, fan_out, seed, stream):
        seen.append((shape, fan_in, fan_out))
        return np.zeros(shape, np.float32)

    nn.Conv2d(6, (1, 3), groups=2, kernel_initializer=spy).build((4, 5, 5))
    assert seen == [((6, 2, 1, 3), 2 * 3, 6 * 3)]


def test_unknown_name_lists_those_there_are():
    with pytest.raises(UsageError) as caught:
        nn.Dense(3, kernel_initializer="glorot")
    assert caught.value.message == "unknown initializer 'glorot'"
    assert caught.value.fix == (
        "did you mean glorot_normal? choose one of zeros, ones, uniform, normal, "
        "truncated_normal, glorot_uniform, glorot_normal, he_uniform, he_normal"
    )
