"""Bits-back coding (Hinton & van Camp 1993; Townsend et al., arXiv:1901.04866): precision refunded.

To send a number y that is only known up to a posterior q(y), take a sample of it: *decode* part of
a payload, that has to be sent anyway, with q. Then encode y under the prior p. The receiver decodes
y, and *encodes* it with q: the very bits that chose y come back, payload and all. The net cost is

    E_q[log2 q(y) / p(y)] = KL(q || p),

however finely y is quantised: a finer grid costs more to send and refunds as much.

Who can claim the refund? Only a receiver who can compute q once it knows y and what was sent before
y. For a latent of an image model that works: q(z|x) follows from the image x, which is decoded with
the help of z. For the weights of a network it does not: their posterior follows from the training
data, which a model file does not contain. So the size of a model file is what was sent, gross, and
KL is no file size. `Ledger` keeps the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewbits.coding import units
from fewbits.coding.bits_back.integer_normal import INVERSE_BITS, NormalBins
from fewbits.coding.bits_back.stream_stack import PRECISION, StreamStack

_GRID_FRACTION_BITS = 12


class Ledger(NamedTuple):
    """What a bits-back exchange cost.

    Attributes:
      borrowed_bits: taken from the payload to choose the numbers.
      sent_bits: gross; what encoding the numbers added.
    """

    borrowed_bits: float
    sent_bits: float

    @property
    def net_bits(self) -> float:
        """Gross minus refund; what remains for a receiver who can compute the posterior."""
        return self.sent_bits - self.borrowed_bits


def send(
    stack: StreamStack, posteriors: Sequence[NormalBins], prior: NormalBins
) -> tuple[list[np.ndarray], Ledger]:
    """Samples rows of numbers with payload bits, then encodes them under the prior.

    All are chosen before the first is encoded. Choosing with what encoding has just left on top of
    the stack would choose well only where the posteriors average to the prior.

    Args:
      stack: with enough payload below.
      posteriors: for each row one distribution for each of its streams.
      prior: over the same bins.

    Returns:
      Bins int64[streams] of each row, and what they cost.
    """
    before = stack.size_bits
    rows = [choose(stack, posterior) for posterior in posteriors]
    between = stack.size_bits
    for bins in rows:
        stack.push_indices(lambda index: prior.cumulative(index, PRECISION), bins)
    return rows, Ledger(before - between, stack.size_bits - between)


def receive(
    stack: StreamStack, posteriors: Sequence[NormalBins], prior: NormalBins
) -> list[np.ndarray]:
    """The inverse of `send`: the bins, and the stack as it was before."""
    rows = [
        stack.pop_indices(
            lambda index: prior.cumulative(index, PRECISION), prior.size, np.size(posterior.mean)
        )
        for posterior in reversed(posteriors)
    ][::-1]
    for posterior, bins in zip(reversed(posteriors), reversed(rows), strict=True):
        refund(stack, posterior, bins)
    return rows


def exchange(
    mean: np.ndarray, scale: np.ndarray, prior_scale: float, step: float, payload: bytes
) -> Ledger:
    """Sends numbers with Gaussian posteriors under a Gaussian prior, and receives them again.

    Args:
      mean: Float[rows, streams], of the posteriors.
      scale: Float[rows, streams], their standard deviations.
      prior_scale: standard deviation of the prior around zero.
      step: delta of the grid.
      payload: from which numbers are chosen; eight bytes for each are enough.

    Raises:
      ValueError: the receiver has another payload or other numbers.

    >>> import numpy as np
    >>> from fewbits.coding.bits_back import bits_back
    >>> mean, scale = np.full((2, 3), 0.01), np.full((2, 3), 0.02)
    >>> payload = np.random.default_rng(0).bytes(48)
    >>> ledger = bits_back.exchange(mean, scale, 0.05, 0.002, payload)
    >>> ledger.sent_bits > ledger.borrowed_bits > 0
    True
    """
    streams = mean.shape[1]
    edges = grid(step, 8 * prior_scale)
    prior = normal_on_grid(edges, step, np.zeros(streams), prior_scale)
    posteriors = [normal_on_grid(edges, step, *row) for row in zip(mean, scale, strict=True)]
    stack = StreamStack(streams, payload)
    before = stack.to_bytes()
    sent, ledger = send(stack, posteriors, prior)
    receiver = StreamStack.from_bytes(stack.to_bytes(), streams)
    received = receive(receiver, posteriors, prior)
    if receiver.to_bytes() != before or not np.array_equal(sent, received):
        raise ValueError(f"the exchange with a step of {step} did not come back")
    return ledger


def choose(stack: StreamStack, posterior: NormalBins) -> np.ndarray:
    """Samples one row of numbers by popping payload bits."""
    return stack.pop_indices(
        lambda index: posterior.cumulative(index, PRECISION),
        posterior.size,
        np.size(posterior.mean),
    )


def refund(stack: StreamStack, posterior: NormalBins, bins: np.ndarray) -> None:
    """Gives the bits back that chose `bins`: the inverse of `choose`."""
    stack.push_indices(lambda index: posterior.cumulative(index, PRECISION), bins)


def grid(step: float, reach: float) -> np.ndarray:
    """Inner edges of bins of one width around zero, in units of step / 4096, int64[bins - 1].

    Args:
      step: delta, width of a bin.
      reach: the bins cover at least -reach to reach.
    """
    half = int(np.ceil(reach / step))
    return (2 * np.arange(-half, half + 1) - 1) * (1 << (_GRID_FRACTION_BITS - 1))


def normal_on_grid(
    edges: np.ndarray, step: float, mean: np.ndarray | float, scale: np.ndarray | float
) -> NormalBins:
    """N(mean, scale^2), rounded to whole numbers, over the bins of `grid`.

    Args:
      edges: of `grid(step, ...)`.
      step: delta.
      mean: Float[...].
      scale: Float[...], > 0 and not below delta / 1000.
    """
    unit = step / (1 << _GRID_FRACTION_BITS)
    whole_mean = np.rint(np.asarray(mean) / unit).astype(np.int64)
    inverse = np.rint((1 << INVERSE_BITS) * unit / np.asarray(scale)).astype(np.int64)
    return NormalBins(edges, whole_mean, np.maximum(inverse, 1))


def divergence_bits(
    mean: np.ndarray, scale: np.ndarray, prior_scale: np.ndarray | float
) -> np.ndarray:
    """KL(N(mean, scale^2) || N(0, prior_scale^2)) of each number, in bits: no size of any file."""
    ratio = (np.square(scale) + np.square(mean)) / np.square(prior_scale)
    return units.nats_to_bits(np.log(prior_scale / scale) + 0.5 * (ratio - 1))
