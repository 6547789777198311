"""Counter-based random numbers: Philox4x32-10.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
Bits and uniforms are a function of (seed, name of the stream, step, index), the other draws of
their size as well. There is no state to carry: resuming is exact, and a new layer does not change
another's numbers.
Element i of a draw takes lane i % 4 of the counter (i // 4, step), each 64 bits wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import UsageError
from gpucnn.spelling import explain_names

Shape = int | Sequence[int]

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], dtype=np.uint64)
# Golden ratio and sqrt(3) - 1, added to the key each round.
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], dtype=np.uint64)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_ROUNDS = 10
_BLOCK = 1 << 14  # counters at once: less, and calls dominate; more, and the cache overflows


def philox4x32(counter: NDArray[np.uint32], key: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Ten rounds of Philox on each counter.

    Args:
        counter: uint32 (..., 4).
        key: uint32 (2,), one key for all counters, or (..., 2).

    Returns:
        uint32 (..., 4), uniform bits.
    """
    # Lanes lead, and wide words hold 32-bit values: a product then needs no second pass for its
    # upper half. `even` is lanes 0 and 2, which are multiplied; `odd` is lanes 1 and 3.
    lanes = np.moveaxis(counter, -1, 0).astype(np.uint64)
    even, odd = lanes[0::2].copy(), lanes[1::2].copy()  # (2, ...)
    product = np.empty_like(even)
    keys = np.moveaxis(key, -1, 0).astype(np.uint64)
    keys = keys.reshape(2, *key.shape[:-1], *[1] * (even.ndim - key.ndim))
    constants = (2, *[1] * (even.ndim - 1))
    multipliers, weyl = _MULTIPLIERS.reshape(constants), _WEYL.reshape(constants)
    for _ in range(_ROUNDS):
        # Each product's upper half goes to the other even lane, its lower half to the other odd.
        np.multiply(even, multipliers, out=product)
        np.right_shift(product[::-1], _32, out=even)
        even ^= odd
        even ^= keys
        np.bitwise_and(product[::-1], _LOW, out=odd)
        keys = (keys + weyl) & _LOW
    result = np.empty(counter.shape, np.uint32)
    result[..., 0::2] = np.moveaxis(even, 0, -1)
    result[..., 1::2] = np.moveaxis(odd, 0, -1)
    return result


def stream_key(seed: int, name: str) -> tuple[int, int]:
    """The Philox key (two 32-bit words) of a named stream: BLAKE2b-64 of the seed and the name.

    Raises:
        UsageError: the seed is no integer in [0, 2**63).
    """
    if not isinstance(seed, Integral) or not 0 <= int(seed) < 2**63:
        raise UsageError(
            f"seed is {seed!r}",
            cause="it must be a whole number, at least 0 and below 2**63",
            fix="give --seed 0",
        )
    digest = blake2b(int(seed).to_bytes(8, "little") + name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def fill_bits(out: NDArray[np.uint32], key: tuple[int, int], step: int, start: int = 0) -> None:
    """Fill the flat uint32 array `out` with elements start, start + 1, ... of a stream.

    `start` must be a multiple of 4, so that pieces of one draw can be filled apart.
    """
    words = np.array(key, dtype=np.uint32)
    for begin in range(0, out.size, 4 * _BLOCK):
        piece = out[begin : begin + 4 * _BLOCK]
        index = (start + begin) // 4 + np.arange(-(-piece.size // 4), dtype=np.uint64)
        counter = np.empty((index.size, 4), dtype=np.uint32)
        counter[:, 0] = index & np.uint64(0xFFFFFFFF)
        counter[:, 1] = index >> np.uint64(32)
        counter[:, 2] = step & 0xFFFFFFFF
        counter[:, 3] = step >> 32
        piece[:] = philox4x32(counter, words).reshape(-1)[: piece.size]


def bits(shape: Shape, seed: int, name: str, step: int = 0) -> NDArray[np.uint32]:
    """Uniform 32-bit integers of the stream `name` at `step`."""
    out = np.empty(shape, dtype=np.uint32)
    fill_bits(out.reshape(-1), stream_key(seed, name), step)
    return out


def uniform(
    shape: Shape, seed: int, name: str, step: int = 0, low: float = 0.0, high: float = 1.0
) -> NDArray[np.float32]:
    """float32 uniform in [low, high): the upper 24 bits of each integer, times 2**-24."""
    unit = (bits(shape, seed, name, step) >> np.uint32(8)) * np.float32(2.0**-24)
    values = unit * np.float32(high - low) + np.float32(low)
    # Rounding may reach `high` itself; the interval is half open.
    return np.minimum(values, np.nextafter(np.float32(high), np.float32(low)), dtype=np.float32)


def normal(
    shape: Shape, seed: int, name: str, step: int = 0, mean: float = 0.0, std: float = 1.0
) -> NDArray[np.float32]:
    """float32 normal numbers: Box-Muller in float64, then rounded."""
    z = _standard_normal(_count(shape), seed, name, step)
    return (mean + std * z).astype(np.float32).reshape(shape)


def truncated_normal(
    shape: Shape, seed: int, name: str, step: int = 0, mean: float = 0.0, std: float = 1.0
) -> NDArray[np.float32]:
    """float32 normal numbers redrawn until they lie within two standard deviations of the mean."""
    z = _standard_normal(_count(shape), seed, name, step)
    attempt = 0
    while (outside := np.flatnonzero(np.abs(z) > 2.0)).size:
        attempt += 1
        z[outside] = _standard_normal(outside.size, seed, f"{name}/redraw{attempt}", step)
    return (mean + std * z).astype(np.float32).reshape(shape)


def permutation(n: int, seed: int, name: str, step: int = 0) -> NDArray[np.int64]:
    """A permutation of range(n): the order that sorts n random 64-bit keys."""
    words = bits(2 * n, seed, name, step)
    keys = words[:n].astype(np.uint64)
    keys <<= _32  # in place: data of many small images are little more than their order
    keys |= words[n:]
    del words
    return np.argsort(keys, kind="stable")


def keep_threshold(rate: float) -> int:
    """The bound below which a 32-bit integer keeps its element under dropout of `rate`."""
    return round((1.0 - rate) * 2**32)


def dropout_mask(shape: Shape, rate: float, key: tuple[int, int], step: int) -> NDArray[np.uint8]:
    """uint8 mask, 1 where an element is kept: its 32 random bits are below (1 - rate) * 2**32."""
    draw = np.empty(shape, dtype=np.uint32)
    fill_bits(draw.reshape(-1), key, step)
    return (draw < np.uint64(keep_threshold(rate))).view(np.uint8)


def _count(shape: Shape) -> int:
    return math.prod(shape) if isinstance(shape, Sequence) else shape


def _standard_normal(n: int, seed: int, name: str, step: int) -> NDArray[np.float64]:
    half = -(-n // 2)
    draw = bits(2 * half, seed, name, step).astype(np.float64)
    u1 = (draw[:half] + 1.0) * 2.0**-32  # in (0, 1]: the logarithm is finite
    angle = 2.0 * np.pi * (draw[half:] * 2.0**-32)
    radius = np.sqrt(-2.0 * np.log(u1))
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]


explain_names(
    __name__,
    dict.fromkeys(
        ("seed", "set_seed"),
        "write gpucnn.keras.utils.set_random_seed(1) for models of gpucnn.keras, or build(seed=1) "
        "of a Module",
    ),
)
