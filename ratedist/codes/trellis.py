"""Entropy-coded trellis quantisation: two scalar quantisers that take turns, as a path decides.

A state machine of 8 to 256 states reads the parities of the indices sent so far. Even states use
the quantiser Q_0, odd ones Q_1, so encoder and decoder agree on the quantiser without side
information, and the encoder looks for the path that minimises

    sum_t  s |x_t - y_t|^2 + length of index k_t in the quantiser of state t

with the Viterbi algorithm. On a uniform grid Q_0 holds the even and Q_1 the odd multiples of the
step, parity splits each once more, and the machine is one of Ungerboeck's codes: with eight states,
two paths that part are at least sqrt(10) steps away from one another (Ungerboeck 1982; Marcellin
and Fischer 1990; with entropy coding, Fischer and Wang 1992). Points and lengths are then fitted to
the source.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fewbits.coding.adaptive.trellis import next_states
from fewbits.coding.units import log2
from ratedist.problem.float64 import in_float64

STATES, MACHINES = 8, (8, 16, 32, 64, 128, 256)
MOST_STATES = MACHINES[-1]
# Row: state; column: parity of the index. Ungerboeck's code, its subsets D_0, D_2 being the even
# and odd indices of Q_0 and D_1, D_3 those of Q_1. Files that name no machine use this one.
NEXT_STATE = np.array([[0, 1], [2, 3], [5, 4], [7, 6], [1, 0], [3, 2], [4, 5], [6, 7]])
_NEVER = 1e30


class Trellis(NamedTuple):
    """Two quantisers.

    Attributes:
      points: Float[2, m], reconstruction of each index in each quantiser; m even.
      length_bits: Float[2, m], code length of each index; inf where it is not used.
    """

    points: Any
    length_bits: Any


class Coded(NamedTuple):
    """What a trellis makes of a sequence.

    Attributes:
      index: Int[T], index sent at each time.
      quantiser: Int[T], 0 or 1, the quantiser in force.
      rate_bits: Float[], entropy of the indices given the quantiser, bits per sample.
      distortion: Float[], mean squared error.
    """

    index: jax.Array
    quantiser: jax.Array
    rate_bits: jax.Array
    distortion: jax.Array


@in_float64
def uniform_trellis(step: ArrayLike, size: int) -> Trellis:
    """The union codebook k step: multiples of 2 step in Q_0, those shifted by one step in Q_1.

    Args:
      step: Float[], the grid's step.
      size: m, indices in each quantiser; even.

    Raises:
      ValueError: an odd size.
    """
    if size < 2 or size % 2:
        raise ValueError(f"a quantiser of {size} indices; parity splits an even number")
    even = 2 * jnp.arange(-(size // 2), size - size // 2)
    if size // 2 % 2:
        even = even + 2  # index parity 0 belongs to the multiples of four steps
    points = step * jnp.stack([even, even + 1]).astype(jnp.float64)
    return Trellis(points, jnp.full((2, size), jnp.log2(float(size))))


@in_float64
def fit(
    x: ArrayLike, start: Trellis, s: ArrayLike, *, iterations: int, states: int = STATES
) -> Trellis:
    """Alternate Viterbi paths with centroids and code lengths, as ECVQ does for single letters.

    Args:
      x: Float[T], training samples.
      start: from `uniform_trellis`.
      s: Float[], price of distortion, bits per unit.
      iterations: how many alternations.
      states: of the machine, see `machine`.
    """
    x = jnp.asarray(x, jnp.float64)

    def alternate(trellis: Trellis, _: None) -> tuple[Trellis, None]:
        return _refit(x, trellis, encode(x, trellis, s, states=states)), None

    return jax.lax.scan(alternate, Trellis(*map(jnp.asarray, start)), None, length=iterations)[0]


@in_float64
def encode(x: ArrayLike, trellis: Trellis, s: ArrayLike, *, states: int = STATES) -> Coded:
    """The best path through the trellis from state 0 (Viterbi 1967).

    Args:
      x: Float[T], samples.
      trellis: the quantisers.
      s: Float[], price of distortion, bits per unit.
      states: of the machine, see `machine`.
    """
    x = jnp.asarray(x, jnp.float64)
    points, length = jnp.asarray(trellis.points), jnp.asarray(trellis.length_bits)
    size = points.shape[1]
    penalty = jnp.where(jnp.isfinite(length), length, _NEVER)
    # Cheapest index of each quantiser and parity: what happens within one branch.
    split = (1, 2, size // 2, 2)
    cost = s * (x.reshape(-1, 1, 1, 1) - points.reshape(split)) ** 2 + penalty.reshape(split)
    branch_cost = jnp.min(cost, axis=2)
    branch_index = 2 * jnp.argmin(cost, axis=2) + jnp.arange(2).reshape(1, 1, 2)

    # The two ways into each state, as (state before, parity).
    before, parity = _arrivals(states)

    def advance(total: jax.Array, here: jax.Array) -> tuple[jax.Array, jax.Array]:
        candidates = total[before] + here[before % 2, parity]
        best = jnp.min(candidates, axis=1)
        # The common part is dropped: a long sum would lose the digits that decide.
        return best - best.min(), jnp.argmin(candidates, axis=1).astype(jnp.uint8)

    origin = jnp.full(states, _NEVER).at[0].set(0.0)
    total, survivor = jax.lax.scan(advance, origin, branch_cost)

    def back(state: jax.Array, choice: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        way = choice[state]
        previous = before[state, way]
        return previous, (previous % 2, parity[state, way])

    _, (quantiser, sent) = jax.lax.scan(back, jnp.argmin(total), survivor, reverse=True)
    index = branch_index[jnp.arange(x.size), quantiser, sent]
    counts = _counts(quantiser, index, size)
    lengths = log2(counts.sum(axis=1, keepdims=True)) - log2(counts)
    distortion = jnp.mean((x - points[quantiser, index]) ** 2)
    return Coded(index, quantiser, jnp.sum(counts * lengths) / x.size, distortion)


def decode(
    streams: tuple[np.ndarray, np.ndarray], points: np.ndarray, size: int, states: int = STATES
) -> np.ndarray:
    """The reconstruction from the indices that each quantiser sent, in order: NumPy only.

    Args:
      streams: the indices of Q_0 and those of Q_1.
      points: Float[2, m].
      size: number of samples.
      states: of the machine, see `machine`.

    Returns:
      Float[size].

    Raises:
      ValueError: the machine asks a stream for more than it has, or leaves some over.
    """
    values = np.empty(size)
    queues = [iter(stream.tolist()) for stream in streams]
    table, next_state, state = points.tolist(), machine(states).tolist(), 0
    for place in range(size):
        index = next(queues[state % 2], None)
        if index is None:
            raise ValueError(f"the indices of quantiser {state % 2} end at sample {place}")
        values[place] = table[state % 2][index]
        state = next_state[state][index % 2]
    if any(next(queue, None) is not None for queue in queues):
        raise ValueError("indices are left over")
    return values


def _refit(x: jax.Array, trellis: Trellis, coded: Coded) -> Trellis:
    """Centroids and ideal lengths of what was sent; an index that was not sent stays.

    Its length is that of one half occurrence: a point that a poor start made useless may come back.
    """
    size = trellis.points.shape[1]
    counts = _counts(coded.quantiser, coded.index, size)
    total = jnp.zeros((2, size)).at[coded.quantiser, coded.index].add(x)
    points = jnp.where(counts > 0, total / jnp.maximum(counts, 1.0), trellis.points)
    softened = jnp.maximum(counts, 0.5)
    return Trellis(points, log2(softened.sum(axis=1, keepdims=True)) - log2(softened))


def _counts(quantiser: jax.Array, index: jax.Array, size: int) -> jax.Array:
    return jnp.zeros((2, size)).at[quantiser, index].add(1.0)


def machine(states: int) -> np.ndarray:
    """Int[states, 2], the state after each state and parity.

    Raises:
      ValueError: another number than in `MACHINES`.
    """
    if states not in MACHINES:
        raise ValueError(f"a machine of {states} states; there are {MACHINES}")
    return NEXT_STATE if states == STATES else next_states(states.bit_length() - 1)


def _arrivals(states: int) -> tuple[jax.Array, jax.Array]:
    """Int[states, 2] twice: the states before each state, and the parities that lead there."""
    following = machine(states)
    ways = [[] for _ in range(states)]
    for state, parity in np.ndindex(following.shape):
        ways[following[state, parity]].append((state, parity))
    pairs = np.array(ways)
    return jnp.asarray(pairs[..., 0]), jnp.asarray(pairs[..., 1])
