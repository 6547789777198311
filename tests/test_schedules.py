"""Schedules against their formulas, worked out step by step in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpucnn import schedules
from gpucnn.errors import UsageError


def rates(*args, **options):
    table = schedules.table(*args, **options)
    assert table.dtype == np.float32
    return [float(value) for value in table]


def test_constant():
    assert rates("constant", 0.5, 3) == [0.5, 0.5, 0.5]


def test_step_multiplies_after_each_interval():
    expected = [1.0, 1.0, 0.5, 0.5, 0.25]
    assert rates("step", 1.0, 5, step_every=2, step_factor=0.5) == expected


def test_cosine_runs_from_the_rate_to_zero():
    table = rates("cosine", 0.2, 8)
    expected = [0.1 * (1 + math.cos(math.pi * t / 8)) for t in range(8)]
    assert table == pytest.approx(expected, rel=1e-6)
    assert table[0] == pytest.approx(0.2)
    assert table[4] == pytest.approx(0.1)
    assert 0 < table[-1] < table[-2]


def test_one_cycle_is_pytorchs():
    def between(start, end, share):
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    total, rate = 40, 0.5
    peak, last = 0.3 * total - 1, total - 1
    expected = [
        between(rate / 25, rate, t / peak)
        if t <= peak
        else between(rate, rate / 25 / 1e4, (t - peak) / (last - peak))
        for t in range(total)
    ]
    table = rates("one-cycle", rate, total)
    assert table == pytest.approx(expected, rel=1e-5)
    assert max(table) == table[11] == rate  # peak = 11


@pytest.mark.parametrize("total", [1, 2, 3])
def test_one_cycle_of_a_few_steps_stays_in_range(total):
    assert all(0 < value <= 1 for value in rates("one-cycle", 1.0, total))


@pytest.mark.parametrize("name", schedules.NAMES)
def test_warm_up_rises_evenly_and_the_schedule_takes_the_rest(name):
    table = rates(name, 1.0, 20, warmup_steps=4)
    assert table[:4] == [0.25, 0.5, 0.75, 1.0]
    assert table[4:] == rates(name, 1.0, 16)


def test_unknown_name_lists_those_there_are():
    with pytest.raises(UsageError, match="constant, step, cosine, one-cycle") as caught:
        schedules.table("cosin", 1.0, 10)
    assert "'cosin'" in caught.value.message


@pytest.mark.parametrize("warmup", [-1, 10, 11])
def test_warm_up_must_leave_steps(warmup):
    with pytest.raises(UsageError, match=f"warmup_steps is {warmup}"):
        schedules.table("constant", 1.0, 10, warmup_steps=warmup)


def test_step_interval_must_be_positive():
    with pytest.raises(UsageError, match="step_every is 0"):
        schedules.table("step", 1.0, 10, step_every=0)
