"""Host-side, not traceable: a code for given samples at a given distortion, ready to be written.

Three kinds: the optimal scalar code (`quantizers`), an entropy-constrained vector code, and the
trellis (`trellis`). Each is fitted to the samples themselves and searched over the price s until
its measured distortion just meets the level; the file carries the points it was fitted with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fewbits.coding import InputError
from fewbits.coding.units import empirical_entropy_bits, entropy_bits
from ratedist.codes import quantizers, trellis
from ratedist.codes.code_file import Quantised, of_trellis
from ratedist.problem.float64 import compiled
from ratedist.solvers.rounded_source import nearest, round_samples

_COARSE, _FINE = 512, 4096
_VECTOR_GROUPS = 1024
_CODEWORDS = 256
_TRAINING = 1 << 14
_ALTERNATIONS = 8
_BISECTIONS = 12
_AIM = 1.0 - 1e-5
"""Points are stored in single precision; aiming a little lower makes up for that."""


class TooFine(InputError):
    """A distortion that this code does not reach for these numbers."""


def scalar(samples: np.ndarray, level: float) -> Quantised:
    """The optimal scalar code of smallest price with mean squared error at most `level`.

    Such codes exist for some errors only. What is left below the level is used up by letters that
    change to a neighbouring cell of shorter code, where that spends fewer bits.

    Args:
      samples: Float[N].
      level: largest mean squared error.

    Raises:
      InputError: a level too small for this many cells.
    """
    for groups in (_COARSE, _FINE):
        rounded = round_samples(samples, groups)
        if rounded.spread <= 1e-3 * level:
            break
    if rounded.spread > 0.5 * level:
        raise TooFine(
            f"distortion {level:g} needs more than {_FINE} cells; ask for more than "
            f"{2 * rounded.spread:.3g}"
        )
    letters, p = rounded.source.points[:, 0], rounded.source.p
    aim = _AIM * level - rounded.spread
    code = quantizers.scalar_code_at(p, letters, aim)
    slot, points = _up_to(p, letters, np.asarray(code.cell), aim)
    return Quantised(np.shape(samples), (points,), (slot.reshape(-1)[rounded.group],))


def _up_to(
    p: np.ndarray, x: np.ndarray, cell: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cells and centroids of fewest bits found with error at most `level`, from a finer code.

    With points and lengths held still the error grows steadily as the price falls (Chou, Lookabaugh
    and Gray 1989); both are fitted again after each search.
    """
    best, fewest = None, np.inf
    for _ in range(_ALTERNATIONS):
        _, cell = np.unique(cell, return_inverse=True)
        mass = np.bincount(cell, p)
        points = np.bincount(cell, p * x) / np.maximum(mass, 1e-300)
        error = float(p @ (x - points[cell]) ** 2)
        bits = float(entropy_bits(mass))
        if best is not None and not (error <= level and bits < fewest - 1e-9):
            break
        best, fewest = (cell, points[:, None]), bits
        squared = (x[:, None] - points) ** 2
        length = -np.log2(np.maximum(mass, 1e-300))
        low, high = -30.0 - np.log2(level), 30.0 - np.log2(level)
        for _ in range(40):
            price = 0.5 * (low + high)
            cell = (np.exp2(price) * squared + length).argmin(axis=1)
            within = p @ squared[np.arange(len(x)), cell] <= level
            low, high = (low, price) if within else (price, high)
        cell = (np.exp2(high) * squared + length).argmin(axis=1)
    assert best is not None
    return best


def vector(samples: np.ndarray, level: float, dimension: int, seed: int = 0) -> Quantised:
    """An entropy-constrained vector code with mean squared error at most `level` a number.

    Args:
      samples: Float[N], whose N is a multiple of `dimension`; runs of numbers are coded together.
      level: largest mean squared error of a number.
      dimension: k, 1 to 4.
      seed: of the codewords to start from.

    Raises:
      InputError: a length that k does not divide, or a level that 256 codewords do not reach.
    """
    if samples.size % dimension:
        raise InputError(f"{samples.size} numbers are not a multiple of the dimension {dimension}")
    x = samples.reshape(-1, dimension)
    rounded = round_samples(x, _VECTOR_GROUPS)
    rng = np.random.default_rng(seed)
    size = min(_CODEWORDS, len(rounded.source.p))
    start = rounded.source.points[rng.choice(len(rounded.source.p), size, False, rounded.source.p)]
    letters, p = rounded.source

    def attempt(s: float) -> tuple[float, float, Quantised]:
        code = quantizers.ecvq(p, letters, start, s, iterations=100)
        used = np.asarray(code.mass) > 0
        points, mass = np.asarray(code.points)[used], np.asarray(code.mass)[used]
        # The length of a codeword is one more coordinate in which it is far from every sample.
        length = np.sqrt(np.maximum(-np.log2(mass), 0.0) / s)
        lifted = np.concatenate([points, length[:, None]], axis=1)
        cell = nearest(np.concatenate([x, np.zeros((len(x), 1))], axis=1), lifted)
        _, cell = np.unique(cell, return_inverse=True)
        cell = cell.reshape(-1)
        counts = np.bincount(cell)
        points = np.stack([np.bincount(cell, axis) for axis in x.T], axis=1) / counts[:, None]
        error = float(((x - points[cell]) ** 2).mean())
        return (
            error,
            float(empirical_entropy_bits(counts)),
            Quantised(np.shape(samples), (points,), (cell,)),
        )

    found = _cheapest(attempt, _AIM * level)
    if found is None:
        raise InputError(
            f"distortion {level:g} is out of reach of {size} codewords of {dimension} numbers; "
            "ask for a larger one or a smaller dimension"
        )
    return found


def with_trellis(samples: np.ndarray, level: float) -> Quantised:
    """An entropy-coded trellis code with mean squared error at most `level`.

    Args:
      samples: Float[N].
      level: largest mean squared error.

    Raises:
      InputError: a level that asks for too many points, or that the search did not meet.
    """
    x = samples.reshape(-1)
    step = 0.6 * np.sqrt(12.0 * level)
    low, high = float(x.min()), float(x.max())
    size = 2 * int(np.ceil((high - low) / (4.0 * step))) + 6
    if size > _FINE:
        raise InputError(f"distortion {level:g} needs {size} points; ask for a larger one")
    centre = 0.5 * (low + high)
    start = trellis.uniform_trellis(step, size)
    start = start._replace(points=np.asarray(start.points) + centre)
    fit = compiled(trellis.fit, static_argnames=("iterations", "states"))
    run = compiled(trellis.encode, static_argnames=("states",))
    states = trellis.MOST_STATES
    training = x[:_TRAINING]

    def attempt(s: float) -> tuple[float, float, Quantised]:
        fitted = fit(training, start, s, iterations=_ALTERNATIONS, states=states)
        coded = run(x, fitted, s, states=states)
        found = of_trellis(fitted, coded, np.shape(samples), states)
        return float(coded.distortion), float(coded.rate_bits), found

    found = _cheapest(attempt, _AIM * level)
    if found is None:
        raise InputError(f"no trellis found for distortion {level:g}; try the scalar code")
    return found


def _cheapest(
    attempt: Callable[[float], tuple[float, float, Quantised]], level: float
) -> Quantised | None:
    """The code of fewest bits among those of a bisection over prices that meet the level."""
    # At high rate the price is -dR/dD = 1 / (2 ln 2 D).
    middle = np.log2(0.5 / (np.log(2.0) * level))
    low, high = middle - 5.0, middle + 5.0
    best: tuple[float, Quantised] | None = None
    for _ in range(_BISECTIONS):
        price = 0.5 * (low + high)
        error, rate, code = attempt(float(np.exp2(price)))
        if error <= level:
            high = price
            if best is None or rate < best[0]:
                best = rate, code
        else:
            low = price
    return None if best is None else best[1]
