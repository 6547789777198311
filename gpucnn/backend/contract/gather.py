"""A batch gathered from a data set."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_numbers
from gpucnn.errors import DtypeError, ShapeError


class Gather(Checks):
    """The data set is uint8 (M, ...)."""

    def gather(
        self, dataset: Array, indices: Array, *, scale: float = 1.0, offset: float = 0.0
    ) -> Array:
        """A batch of a uint8 data set as floats: see `gpucnn.ops.gather`."""
        self._check_owned(dataset=dataset)
        self._check_integers(indices=indices)
        if dataset.dtype != self.xp.uint8:
            raise DtypeError(
                f"gather from {dataset.dtype}",
                cause="the data set must be uint8",
                fix="keep pixels as uint8 until they are gathered",
            )
        if indices.ndim != 1:
            raise ShapeError(
                f"gather by indices of shape {tuple(indices.shape)}",
                cause="they must be (B,)",
                fix="flatten them",
            )
        check_numbers(scale=scale, offset=offset)
        return self._gather(dataset, indices, scale, offset)

    @abstractmethod
    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array: ...
