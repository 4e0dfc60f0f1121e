"""Codebooks improved for functionals that are not the rate.

`ratedist.refine_codebook` lowers the rate. Here the functional may be one that the envelope theorem
does not cover (`functionals.coded`, `functionals.rounded`), and every step is a call, so that the
gradient may be taken on the host (`convex_layer`).

>>> import numpy as np
>>> from ratedist.codebooks import descent, functionals
>>> p, x = np.full(8, 1 / 8), np.arange(8.0)[:, None]
>>> found = descent.descend(p, x, [0.0, 3.0, 7.0], 1.0, functionals.coded, steps=5)
>>> found.values_bits[-1] < found.values_bits[0]
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import units
from ratedist.codebooks import codebook, merging
from ratedist.codebooks.codebook import Marginal
from ratedist.codebooks.functionals import Functional
from ratedist.codebooks.merging import Codebook
from ratedist.problem.float64 import compiled
from ratedist.problem.point import encoder
from ratedist.rate_function import implicit
from ratedist.solvers.solve import solve_slope
from ratedist.sources import squared_error

_move, _solve_slope = compiled(codebook.move), compiled(solve_slope)

Gradient = Callable[[Functional, Codebook, Any], tuple[Any, Any]]
"""(functional, codebook, price) -> value in bits, derivative Float[m, k]."""


class Descent(NamedTuple):
    """What a descent ends with.

    Attributes:
      book: the codebook of the least value.
      values_bits: of the functional, before each step.
    """

    book: Codebook
    values_bits: tuple[float, ...]


def gradient_through(p: Any, x: Any, marginal: Marginal) -> Gradient:
    """The compiled gradient by one way to differentiate the output marginal.

    Args:
      p: Float[n], source probabilities.
      x: Float[n, k], letters.
      marginal: `codebook.envelope` or `implicit.optimal_marginal`; see `codebook`.
    """
    program = compiled(
        lambda book, s, functional: codebook.value_and_gradient(
            functional, marginal, p, x, book, s
        ),
        static_argnames=("functional",),
    )
    return lambda functional, book, s: program(book, s, functional=functional)


def deterministic_cost(p: Any, x: Any, book: Codebook, price: float) -> float:
    """H + s D where every letter goes to its likeliest codeword under the convex encoder, bits.

    Args:
      p: Float[n], source probabilities.
      x: Float[n, k], letters.
      book: the codebook.
      price: s, bits per unit of distortion.

    >>> import numpy as np
    >>> from ratedist.codebooks import descent, merging
    >>> p, x = np.full(4, 1 / 4), np.array([0.0, 1.0, 8.0, 9.0])
    >>> descent.deterministic_cost(p, x, merging.codebook(np.array([0.5, 8.5])), 2.0)
    1.5
    """
    p, d = np.asarray(p, np.float64), squared_error(x, book.points)
    point = _solve_slope(p, d, price, mask=book.mask)
    chosen = np.argmax(np.asarray(encoder(p, d, point)), axis=1)
    mass = np.bincount(chosen, p, d.shape[1])
    return float(units.entropy_bits(mass)) + price * float(p @ d[np.arange(len(p)), chosen])


def descend(
    p: Any,
    x: Any,
    book: Any,
    price: float,
    functional: Functional,
    *,
    steps: int = 60,
    rate: float = 0.2,
    gradient: Gradient | None = None,
) -> Descent:
    """Gradient steps on a functional of the codebook, such as H + s D of a rounded encoder.

    Args:
      p: Float[n], source probabilities.
      x: Float[n, k], letters.
      book: codewords to start from: points, or a `Codebook`.
      price: s, bits per unit of distortion.
      functional: see `functionals`.
      steps: how many.
      rate: share of the step that would take a codeword to its centroid; see `codebook.move`.
      gradient: by the implicit function theorem if not given.

    Returns:
      Descent.
    """
    book = book if isinstance(book, Codebook) else merging.codebook(np.asarray(book))
    gradient = gradient or gradient_through(p, x, implicit.optimal_marginal)
    best, values = book, []
    for _ in range(steps):
        value, found = gradient(functional, book, price)
        values.append(float(value))
        if values[-1] == min(values):
            best = book
        q = _solve_slope(p, squared_error(x, book.points), price, mask=book.mask).q
        book = _move(p, x, book, q, price, np.asarray(found), rate)
    return Descent(best, tuple(values))
