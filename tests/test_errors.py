"""Choosing by name: the one error of all tables; the texts of an error."""

from __future__ import annotations

import pytest

from gpucnn.errors import OutOfMemoryError, UsageError, choose

TABLE = {"lenet": 1, "cnn": 2}


def test_choose():
    assert choose(TABLE, "cnn", "model") == 2


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("lenett", "unknown model 'lenett'", "did you mean lenet? choose one of lenet, cnn"),
        ("vgg", "unknown model 'vgg'", "choose one of lenet, cnn"),
        ([3], "unknown model [3]", "choose one of lenet, cnn"),
    ],
)
def test_a_name_that_there_is_not(name, message, fix):
    with pytest.raises(UsageError) as caught:
        choose(TABLE, name, "model")
    assert (caught.value.message, caught.value.fix) == (message, fix)


def test_the_origin_of_the_name_is_told():
    with pytest.raises(UsageError, match=r"unknown model 'vgg' \(from --model\)"):
        choose(TABLE, "vgg", "model", " (from --model)")


def test_the_reason_is_message_and_cause():
    assert UsageError("it is wrong", cause="it is 3", fix="give 4").reason == "it is wrong: it is 3"
    assert UsageError("it is wrong", fix="give 4").reason == "it is wrong"


@pytest.mark.parametrize(
    ("asked", "free", "cause"),
    [
        (28, 10, "28 MB were asked for, 10 MB of 400 MB are free, 56 MB are held by this process"),
        (0, 10, "10 MB of 400 MB are free, 56 MB are held by this process"),
        # They are free now, and were not when the allocation failed.
        (28, 268, "28 MB were asked for, 400 MB are there in all, 56 MB are held by this process"),
    ],
)
def test_memory_that_is_free_again_is_no_cause(asked: int, free: int, cause: str) -> None:
    numbers = {"asked": asked, "free": free, "held": 56, "total": 400}
    found = {name: number * 10**6 for name, number in numbers.items()}
    assert OutOfMemoryError("an array does not fit", on_host=True, **found).cause == cause
