"""From a network's logits to integer frequencies, on one path for encoder and decoder.

Floats end at `gaps`: how far each byte's logit lies below the largest one, rounded to 32nds of a
nat. It belongs into the compiled program that computes the logits, so that both sides get it from
the same instructions. All that follows is integer arithmetic in NumPy, the same on any machine:
an exponential from a table, then counts of at least one with an exact total of 2^28, the unit of
`fewbits.coding.bits_back.stream_stack`. Rounding costs under 0.0001 bits a byte, the least count
nothing.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding.bits_back.stream_stack import PRECISION

GAPS_PER_NAT = 32
LARGEST_GAP = 639
"""Twenty nats: what lies further below gets the least weight."""
_WEIGHT_BITS = 24
_SHIFT = 32


def gaps(logits: jax.Array) -> jax.Array:
    """Int16[..., 256], 0 to `LARGEST_GAP`: the last thing that is done to floats.

    Args:
      logits: Float32[..., 256]; what is not a number becomes the largest gap.
    """
    below = (logits.max(axis=-1, keepdims=True) - logits) * GAPS_PER_NAT
    below = jnp.where(below <= LARGEST_GAP, below, LARGEST_GAP)
    return jnp.rint(below).astype(jnp.int16)


def cumulative(gap: np.ndarray) -> np.ndarray:
    """Cumulative counts, int64[..., 257], from 0 to exactly 2^28, each count at least 1.

    Args:
      gap: from `gaps`, at least one of them 0 in each row (or all of them the largest).
    """
    weights = _weights()[gap]
    size = gap.shape[-1]
    # One division a row: weights stay under 2^24 and the scale under 2^39, the product under 2^63.
    free = (1 << PRECISION) - size
    scale = (free << _SHIFT) // weights.sum(axis=-1, keepdims=True)
    counts = 1 + (weights * scale >> _SHIFT)
    found = np.zeros((*gap.shape[:-1], size + 1), np.int64)
    np.cumsum(counts, axis=-1, out=found[..., 1:])
    # What rounding left over goes to one of the likeliest bytes: the first without a gap.
    left = (1 << PRECISION) - found[..., -1:]
    first = gap.argmin(axis=-1)[..., None]
    found += left * (np.arange(size + 1) > first)
    return found


@cache
def _weights() -> np.ndarray:
    """round(2^24 exp(-gap / 32)), at least 1; in decimal arithmetic, so the same everywhere."""
    with localcontext() as context:
        context.prec = 40
        top = (1 << _WEIGHT_BITS) - 1
        values = [
            max(1, int((top * (Decimal(-gap) / GAPS_PER_NAT).exp()).to_integral_value()))
            for gap in range(LARGEST_GAP + 1)
        ]
    return np.array(values, np.int64)
