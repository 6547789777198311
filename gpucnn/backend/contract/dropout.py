"""Dropout."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from gpucnn.backend.contract.arrays import Array, Scalar
from gpucnn.backend.contract.checks import Checks, check_number, check_shape
from gpucnn.errors import DtypeError, UsageError


class Dropout(Checks):
    """Arrays of any shape."""

    def dropout_forward(
        self, x: Array, rate: float, *, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        """Inverted dropout, and its mask: see `gpucnn.ops.dropout_forward`."""
        self._check_floats(x=x)
        _check_rate(rate)
        _check_key(key)
        self._check_scalar("step", step)
        return self._dropout_forward(x, rate, key, step)

    @abstractmethod
    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]: ...

    def dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        """The gradient of dropout: see `gpucnn.ops.dropout_backward`."""
        self._check_floats(grad_y=grad_y)
        self._check_owned(mask=mask)
        if mask.dtype != self.xp.uint8:
            raise DtypeError(
                f"the dropout mask is {mask.dtype}",
                cause="it must be the uint8 mask of zeros and ones that dropout_forward returns",
                fix="pass that mask on as it is",
            )
        _check_rate(rate)
        check_shape("mask", mask, grad_y.shape)
        return self._dropout_backward(grad_y, mask, rate)

    @abstractmethod
    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array: ...


def _check_key(key: Any) -> None:
    words = key.tolist() if isinstance(key, np.ndarray) else key
    is_pair = isinstance(words, (tuple, list)) and len(words) == 2
    if not is_pair or not all(isinstance(w, (int, np.integer)) and 0 <= w < 2**32 for w in words):
        raise UsageError(
            f"the key of a dropout is {key!r}",
            cause="it is a pair of integers of 32 bits, of a random stream",
            fix='give gpucnn.random.stream_key(seed, "dropout")',
        )


def _check_rate(rate: float) -> None:
    check_number("rate", rate)
    if not 0.0 <= rate < 1.0:
        raise UsageError(
            f"dropout rate is {rate}",
            cause="it is the fraction of the elements that become 0: at least 0 and below 1",
            fix="give a rate such as 0.5",
        )
