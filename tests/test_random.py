"""Philox against Random123's known answers and plain integers; the draws built on it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference

from gpucnn import random
from gpucnn.errors import GpucnnError

ALL = 0xFFFFFFFF
KNOWN_ANSWERS = [  # Random123's kat_vectors, philox4x32 with 10 rounds
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL, ALL, ALL, ALL), (ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def u32(values):
    return np.array(values, dtype=np.uint32)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    got = random.philox4x32(u32(counter), u32(key))
    assert got.dtype == np.uint32
    assert tuple(map(int, got)) == answer
    assert reference.philox4x32(counter, key) == answer


def test_counters_and_keys_broadcast():
    counters, keys, answers = (u32(column) for column in zip(*KNOWN_ANSWERS, strict=True))
    np.testing.assert_array_equal(random.philox4x32(counters, keys), answers)
    alone = random.philox4x32(counters, keys[1])
    np.testing.assert_array_equal(alone[1], answers[1])
    assert tuple(map(int, alone[2])) == reference.philox4x32(
        tuple(map(int, counters[2])), tuple(map(int, keys[1]))
    )


@pytest.mark.parametrize("step", [0, 1, 2**32 + 7, 2**64 - 1])
def test_bits_are_lanes_of_the_counter_of_their_index(step):
    key = random.stream_key(3, "split")
    got = random.bits((3, 7), 3, "split", step)
    assert got.dtype == np.uint32
    assert got.ravel().tolist() == reference.bits(21, key, step)


def test_a_long_draw_is_the_same_function_of_the_index():
    key, count = random.stream_key(0, "shuffle"), 40_003
    got = random.bits(count, 0, "shuffle", 5)
    for i in (0, 3, 4, 16_383, 16_384, 16_385, 32_768, count - 1):
        counter = (i // 4, 0, 5, 0)
        assert int(got[i]) == reference.philox4x32(counter, key)[i % 4], i
    np.testing.assert_array_equal(random.bits(10, 0, "shuffle", 5), got[:10])


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_stream_key_is_blake2b_of_seed_and_name(seed):
    assert random.stream_key(seed, "init/conv1/w") == reference.stream_key(seed, "init/conv1/w")


@pytest.mark.parametrize("seed", [-1, 2**63, np.int64(-1), 1.5, "1", None, [1], np.ones(2)])
def test_a_seed_that_is_no_whole_number_in_range_is_an_error(seed):
    with pytest.raises(GpucnnError, match="seed"):
        random.stream_key(seed, "split")


def test_uniform_is_the_upper_24_bits():
    got = random.uniform((5, 5), 7, "u")
    want = (random.bits((5, 5), 7, "u") >> 8) / 2.0**24
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want)


def test_uniform_statistics_and_range():
    n = 100_000
    x = random.uniform(n, 0, "u", low=-1.0, high=3.0).astype(np.float64)
    assert x.min() >= -1
    assert x.max() < 3
    sigma = 4 / math.sqrt(12)
    assert abs(x.mean() - 1) < 4 * sigma / math.sqrt(n)
    assert abs(x.var() / sigma**2 - 1) < 4 * math.sqrt(0.8 / n)  # var of u^2 : 4/5 of sigma^4
    counts = np.histogram(x, bins=64, range=(-1, 3))[0]
    chi2 = ((counts - n / 64) ** 2 / (n / 64)).sum()
    assert 63 - 4 * math.sqrt(126) < chi2 < 63 + 4 * math.sqrt(126)


def test_uniform_never_rounds_up_to_its_upper_end():
    x = random.uniform(200_000, 0, "u", low=1e6, high=1e6 + 1)  # 16 float32 steps wide
    assert x.min() >= 1e6
    assert x.max() < 1e6 + 1


def test_normal_statistics():
    n = 100_001
    x = random.normal(n, 0, "z", mean=2.0, std=3.0)
    assert x.dtype == np.float32
    z = (x.astype(np.float64) - 2) / 3
    # Moments of a standard normal: 0, 1, 0, 3, their estimates' variances 1, 2, 15, 96 over n.
    for power, (moment, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs((z**power).mean() - moment) < 4 * math.sqrt(variance / n), power
    assert abs(np.mean(z[:-1] * z[1:])) < 4 / math.sqrt(n)
    half = n // 2  # the two numbers of a Box-Muller pair do not hang together
    assert abs(np.mean(z[:half] * z[half : 2 * half])) < 4 / math.sqrt(half)
    below = np.mean(z < -1.959964)
    assert abs(below - 0.025) < 4 * math.sqrt(0.025 * 0.975 / n)


def test_truncated_normal_is_redrawn_not_clipped():
    n = 50_000
    z = random.truncated_normal(n, 0, "t", mean=1.0, std=0.5).astype(np.float64) * 2 - 2
    assert np.abs(z).max() <= 2 + 1e-6
    assert np.mean(np.abs(z) > 1.999) < 0.001  # clipping would put 4.6 % there
    # phi(2) = 0.05399, P(|z| < 2) = 0.9545: the variance is 1 - 4 phi(2) / 0.9545.
    assert abs(z.mean()) < 4 * 0.88 / math.sqrt(n)
    assert abs(z.var() - 0.77374) < 0.02


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000])
def test_permutation_holds_every_index_once(n):
    p = random.permutation(n, 0, "shuffle", 1)
    assert p.dtype == np.int64
    assert sorted(p.tolist()) == list(range(n))


def test_permutation_is_uniform_and_changes_by_step():
    firsts = [int(random.permutation(5, 0, "shuffle", step)[0]) for step in range(2000)]
    counts = np.bincount(firsts, minlength=5)
    assert np.abs(counts - 400).max() < 4 * math.sqrt(2000 * 0.2 * 0.8)
    long = random.permutation(10_000, 0, "shuffle")
    # The rank correlation with the order before is normal with deviation 1 / sqrt(n).
    assert abs(np.corrcoef(long, np.arange(10_000))[0, 1]) < 4 / math.sqrt(10_000)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.999])
def test_dropout_mask_is_bits_below_the_threshold(rate):
    key = random.stream_key(1, "dropout/dropout1")
    mask = random.dropout_mask((3, 11), rate, key, 9)
    assert mask.dtype == np.uint8
    threshold = round((1 - rate) * 2**32)
    want = [int(b < threshold) for b in reference.bits(33, key, 9)]
    assert mask.ravel().tolist() == want


def test_the_threshold_is_rounded_to_the_nearest():
    assert random.keep_threshold(0.2) == 3435973837  # 0.8 * 2^32 = 3435973836.8
    assert random.keep_threshold(0.0) == 2**32
    assert random.keep_threshold(0.5) == 2**31


def test_dropout_mask_keeps_its_share():
    n = 100_000
    mask = random.dropout_mask(n, 0.3, (1, 2), 0)
    assert abs(mask.mean() - 0.7) < 4 * math.sqrt(0.21 / n)


def test_streams_seeds_and_steps_are_independent():
    n = 20_000
    draws = [
        random.uniform(n, seed, name, step).astype(np.float64)
        for seed, name, step in [
            (0, "init/conv1/w", 0),
            (0, "init/conv2/w", 0),
            (0, "init/conv1/w", 1),
            (1, "init/conv1/w", 0),
            (0, "dropout/dropout1", 0),
        ]
    ]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 4 / math.sqrt(n)


def test_another_stream_s_draws_change_nothing():
    before = random.normal((4, 4), 0, "init/conv1/w")
    random.normal((100,), 0, "init/conv0/w")
    np.testing.assert_array_equal(random.normal((4, 4), 0, "init/conv1/w"), before)


@pytest.mark.parametrize("draw", [random.uniform, random.normal, random.truncated_normal])
@pytest.mark.parametrize("shape", [(), 0, (0, 3), (2, 0), 1, (3, 5)])
def test_shapes(draw, shape):
    x = draw(shape, 0, "s")
    assert x.dtype == np.float32
    assert x.shape == (shape if isinstance(shape, tuple) else (shape,))
