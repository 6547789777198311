"""A batch gathered from a data set, in NumPy."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.arrays import valid_indices


class Gather(contract.Gather):
    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array:
        valid, index = valid_indices(indices, len(dataset))
        if not len(dataset):
            return np.full((len(indices), *dataset.shape[1:]), np.nan, np.float32)
        batch = np.multiply(dataset[index], np.float32(scale), dtype=np.float32)
        if offset:
            batch += np.float32(offset)
        if not valid.all():
            batch[~valid] = np.nan
        return batch

    def _gather_rows(self, rows: Array, indices: Array) -> Array:
        valid = (indices >= 0) & (indices < len(rows))
        if valid.all():
            return rows.take(indices, axis=0)
        batch = np.empty((len(indices), *rows.shape[1:]), rows.dtype)
        batch.reshape(-1).view(np.uint8).fill(0xFF)
        batch[valid] = rows[indices[valid]]
        return batch
