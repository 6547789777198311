"""The start of a training step, and counters."""

from __future__ import annotations

from gpucnn.backend.contract import Array
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def begin_step(
    place: Array,
    order: Array,
    indices: Array,
    *,
    rates: Array | None = None,
    step: Array | None = None,
    learning_rate: Array | None = None,
) -> None:
    """Take the next indices of an order, and look up the learning rate; nothing is read back.

        indices[b] = order[place + b]       -1 where that is outside of the order
        learning_rate = rates[min(step, T - 1)]
        place += B

    The same call with the same arrays gives the next batch each time, as `gather` takes it.

    Args:
        place: uint32 (1,), changed in place: where in the order the batch begins.
        order: int32 (M,), the images of an epoch in their order.
        indices: int32 (B,), changed in place: the images of the batch.
        rates: float32 (T,), the learning rate of each step. Without it none is looked up.
        step: uint32 (1,), the number of steps done.
        learning_rate: float32 (1,), changed in place.
    """
    backend = backend_of(
        "begin_step", rates, step, learning_rate, place=place, order=order, indices=indices
    )
    backend.begin_step(place, order, indices, rates=rates, step=step, learning_rate=learning_rate)


@primitive
def increment(counter: Array) -> None:
    """counter += 1, in place.

    Args:
        counter: uint32 (1,).
    """
    backend_of("increment", counter=counter).increment(counter)
