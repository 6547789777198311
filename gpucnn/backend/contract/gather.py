"""A batch gathered from a data set."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_numbers
from gpucnn.errors import DtypeError, ShapeError


class Gather(Checks):
    """The data set is (M, ...): uint8 pixels, or elements of 4 or 8 bytes."""

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
        _check_indices(indices)
        check_numbers(scale=scale, offset=offset)
        return self._gather(dataset, indices, scale, offset)

    @abstractmethod
    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array: ...

    def gather_rows(self, rows: Array, indices: Array) -> Array:
        """A batch of labels, weights or float images: see `gpucnn.ops.gather_rows`."""
        self._check_owned(rows=rows)
        self._check_integers(indices=indices)
        if rows.dtype.kind not in "iuf" or rows.dtype.itemsize not in (4, 8):
            raise DtypeError(
                f"gather_rows from {rows.dtype}",
                cause="it takes integers and floats of 4 or 8 bytes",
                fix="convert with .astype(numpy.float32)",
            )
        if not rows.ndim:
            raise ShapeError(
                "gather_rows from a single number",
                cause="the first axis is that of the rows",
                fix="pass an array (M, ...)",
            )
        _check_indices(indices)
        return self._gather_rows(rows, indices)

    @abstractmethod
    def _gather_rows(self, rows: Array, indices: Array) -> Array: ...


def _check_indices(indices: Array) -> None:
    if indices.ndim != 1:
        raise ShapeError(
            f"gather by indices of shape {tuple(indices.shape)}",
            cause="they must be (B,)",
            fix="flatten them",
        )
