"""Batch norm's running statistics, dropout's masks, layer norm."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from checks import assert_close, assert_same_bits

from gpucnn import nn, random
from gpucnn.errors import ShapeError, UsageError

RNG = np.random.default_rng(31)
IMAGES = (3 * RNG.standard_normal((6, 2, 4, 5)) + 1).astype(np.float32)


class TestBatchNorm2d:
    def build(self, backend, **options):
        layer = nn.BatchNorm2d(**options).build(IMAGES.shape[1:], device=backend.name)
        layer.gamma.data[...] = backend.asarray(np.float32([2, -1]))
        layer.beta.data[...] = backend.asarray(np.float32([0.5, 1]))
        return layer

    def normalized(self, mean, var, eps):
        mean, var = (np.float64(s).reshape(2, 1, 1) for s in (mean, var))
        gamma, beta = np.reshape([2.0, -1.0], (2, 1, 1)), np.reshape([0.5, 1.0], (2, 1, 1))
        return gamma * (IMAGES - mean) / np.sqrt(var + eps) + beta

    def test_training_takes_the_statistics_of_the_batch(self, backend):
        y = self.build(backend, eps=1e-3)(backend.asarray(IMAGES)).numpy()
        x = IMAGES.astype(np.float64)
        expected = self.normalized(x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3)), 1e-3)
        assert_close(y, expected, terms=6 * 4 * 5)

    def test_running_statistics(self, backend):
        layer = self.build(backend, momentum=0.25)
        mean, var = np.zeros(2), np.ones(2)
        for batch in (IMAGES, IMAGES[:2] * 2):
            layer(backend.asarray(batch))
            x = batch.astype(np.float64)
            mean += 0.25 * (x.mean(axis=(0, 2, 3)) - mean)
            var += 0.25 * (x.var(axis=(0, 2, 3), ddof=1) - var)
        assert_close(backend.to_numpy(layer.running_mean), mean, terms=120)
        assert_close(backend.to_numpy(layer.running_var), var, terms=120)

    def test_evaluation_takes_the_running_ones_and_leaves_them(self, backend):
        layer = self.build(backend)
        layer(backend.asarray(IMAGES))
        layer.eval()
        state = layer.state_dict()
        y = layer(backend.asarray(IMAGES)).numpy()
        expected = self.normalized(state["running_mean"], state["running_var"], 1e-5)
        assert_close(y, expected, terms=16)
        for name, array in layer.state_dict().items():
            assert_same_bits(array, state[name], name)

    def test_frozen_takes_the_running_ones_and_leaves_them_in_training_too(self, backend):
        layer = self.build(backend)
        layer(backend.asarray(IMAGES))
        evaluated = layer.eval()(backend.asarray(IMAGES)).numpy()
        state = layer.state_dict()
        frozen = layer.train().freeze()(backend.asarray(IMAGES)).numpy()
        assert_same_bits(frozen, evaluated)
        for name, array in layer.state_dict().items():
            assert_same_bits(array, state[name], name)
        layer.freeze(False)(backend.asarray(IMAGES))
        assert (layer.state_dict()["running_mean"] != state["running_mean"]).all()

    def test_building_leaves_the_running_statistics(self, backend):
        state = nn.Sequential([nn.BatchNorm2d()]).build((2, 4, 5), device=backend.name).state_dict()
        assert list(state) == [
            "batchnorm1.gamma",
            "batchnorm1.beta",
            "batchnorm1.running_mean",
            "batchnorm1.running_var",
        ]
        assert (state["batchnorm1.running_mean"] == 0).all()
        assert (state["batchnorm1.running_var"] == 1).all()

    def test_the_running_arrays_stay_where_they_are(self, backend):
        layer = self.build(backend)
        arrays = layer.running_mean, layer.running_var
        layer(backend.asarray(IMAGES))
        layer.load_state_dict(layer.state_dict())
        assert layer.running_mean is arrays[0]
        assert layer.running_var is arrays[1]

    def test_statistics_are_not_trained(self, backend):
        layer = self.build(backend)
        assert list(layer.named_parameters().keys()) == ["gamma", "beta"]

    @pytest.mark.parametrize("training", [True, False])
    def test_other_channels_are_refused(self, backend, training):
        layer = self.build(backend).train(training)
        with pytest.raises(ShapeError, match=r"BatchNorm2d: .*\(6, 1, 4, 5\).*\(2,\)") as caught:
            layer(backend.asarray(IMAGES[:, :1]))
        assert "with 2 on axis 1" in caught.value.fix

    def test_rows_are_refused(self):
        with pytest.raises(ShapeError, match=r"batchnorm1 \(BatchNorm2d\): .*\(1, 7\)") as caught:
            nn.Sequential([nn.BatchNorm2d()]).build((7,))
        assert "LayerNorm" in caught.value.fix


class TestDropout:
    X = np.ones((16, 33), np.float32)

    def model(self, backend, seed=3):
        layers = [nn.Dropout(0.25), nn.Sequential([nn.Dropout(0.5)], name="head")]
        return nn.Sequential(layers).build((33,), seed=seed, device=backend.name)

    def expected(self, path, rate, seed, step):
        key = random.stream_key(seed, f"dropout/{path}")
        return random.dropout_mask(self.X.shape, rate, key, step) / np.float32(1 - rate)

    def test_the_mask_is_a_function_of_seed_path_and_step(self, backend):
        model = self.model(backend)
        for step in range(3):
            y = model["dropout1"](backend.asarray(self.X)).numpy()
            assert_close(y, self.expected("dropout1", 0.25, 3, step).astype(np.float64))
            y = model["head"][0](backend.asarray(self.X)).numpy()
            np.testing.assert_array_equal(y, self.expected("head.dropout1", 0.5, 3, step))

    def test_seeds_paths_and_steps_differ(self, backend):
        masks = {
            self.expected(path, 0.5, seed, step).tobytes()
            for path in ("a", "b")
            for seed in (0, 1)
            for step in (0, 1, 2**32)
        }
        assert len(masks) == 12
        kept = self.model(backend)["head"](backend.asarray(np.ones((100, 33), np.float32))).numpy()
        assert abs((kept > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(kept.size)

    def test_set_step_replays(self, backend):
        model = self.model(backend)
        outputs = [model(backend.asarray(self.X)).numpy() for _ in range(4)]
        step = model["dropout1"].step
        model.set_step(2)
        assert_same_bits(model(backend.asarray(self.X)).numpy(), outputs[2])
        assert_same_bits(model(backend.asarray(self.X)).numpy(), outputs[3])
        assert model["dropout1"].step is step
        assert step.dtype == np.uint32
        assert int(backend.to_numpy(step)[0]) == 4

    def test_the_gradient_takes_the_same_mask(self, backend):
        x = nn.Parameter(backend.asarray(self.X))
        y = self.model(backend)["dropout1"](x)
        y.sum().backward()
        np.testing.assert_array_equal(backend.to_numpy(x.grad), y.numpy())

    def test_evaluation_and_building_neither_drop_nor_count(self, backend):
        model = self.model(backend).eval()
        np.testing.assert_array_equal(model(backend.asarray(self.X)).numpy(), self.X)
        assert int(backend.to_numpy(model["dropout1"].step)[0]) == 0
        assert model.state_dict() == {}

    def test_the_path_in_a_larger_model_counts(self, backend):
        inner = self.model(backend)["head"]
        outer = nn.Sequential([inner]).build((33,), seed=6, device=backend.name)
        np.testing.assert_array_equal(
            outer(backend.asarray(self.X)).numpy(), self.expected("head.dropout1", 0.5, 6, 0)
        )

    @pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
    def test_rates_out_of_range(self, rate):
        with pytest.raises(UsageError, match=f"dropout rate is {rate}"):
            nn.Dropout(rate)

    def test_rate_zero_changes_nothing(self):
        layer = nn.Dropout(0).build((33,))
        np.testing.assert_array_equal(layer(self.X).numpy(), self.X)


def test_arrays_are_made_by_the_backend(monkeypatch):
    class Elsewhere(np.ndarray):
        pass

    there = SimpleNamespace(xp=np, asarray=lambda array: array.view(Elsewhere))
    monkeypatch.setattr("gpucnn.nn.normalization.backends", SimpleNamespace(get=lambda _: there))
    norm, dropout = nn.BatchNorm2d(), nn.Dropout(0.5)
    norm.create((1, 2, 3, 3))
    dropout.create((1, 2))
    arrays = norm.running_mean, norm.running_var, dropout.step
    assert all(type(array) is Elsewhere for array in arrays)


class TestLayerNorm:
    def test_values(self, backend):
        layer = nn.LayerNorm(eps=1e-3).build(IMAGES.shape[1:], device=backend.name)
        gamma = np.arange(1, 6, dtype=np.float32)
        layer.gamma.data[...] = backend.asarray(gamma)
        layer.beta.data[...] = backend.asarray(-gamma)
        x = IMAGES.astype(np.float64)
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-3)
        expected = gamma * (x - x.mean(axis=-1, keepdims=True)) / spread - gamma
        assert_close(layer(backend.asarray(IMAGES)).numpy(), expected, terms=32)

    def test_another_size_is_refused(self):
        layer = nn.LayerNorm().build((5,))
        with pytest.raises(ShapeError, match=r"LayerNorm: the input is \(2, 1\), gamma \(5,\)"):
            layer(np.zeros((2, 1), np.float32))
