"""Codebooks improved on the host: any gradient, and functionals that are not the rate.

`ratedist.refine_codebook` is one compiled program. Here every step is a call, so that the gradient
may be taken on the host (`convex_layer`), and the functional may be one that the envelope theorem
does not cover (`functionals.coded`, `functionals.rounded`).

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

from ratedist.codebooks import codebook, merging
from ratedist.codebooks.codebook import Marginal
from ratedist.codebooks.functionals import Functional, lagrangian
from ratedist.codebooks.merging import Codebook
from ratedist.problem.constraints import mean_distortion
from ratedist.problem.float64 import compiled
from ratedist.problem.point import RDPoint
from ratedist.rate_function import implicit
from ratedist.solvers.solve import solve_slope
from ratedist.sources import squared_error

_convex_step, _move = compiled(codebook.convex_step), compiled(codebook.move)
_merge, _solve_slope = compiled(merging.merge), compiled(solve_slope)

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


def refine(
    p: Any,
    x: Any,
    book: Codebook,
    distortion: float,
    gradient: Gradient,
    *,
    steps: int = 20,
    least_distance: float = 1e-3,
) -> list[tuple[Codebook, RDPoint]]:
    """As `ratedist.refine_codebook`, by any gradient.

    Args:
      p: Float[n], source probabilities.
      x: Float[n, k], letters.
      book: codewords to start from.
      distortion: mean squared error.
      gradient: of the rate.
      steps: how many.
      least_distance: codewords no farther apart are merged.

    Returns:
      The codebooks before each step and after the last, each with its certified point.

    Raises:
      ValueError: a codebook that does not reach the distortion.
    """
    rule = mean_distortion(p, distortion)
    path = [(book, _convex_step(p, x, book, rule))]
    for _ in range(steps):
        book, point = path[-1]
        # One price for all letters: the constraint is a mean.
        s = point.nu[0]
        _, found = gradient(lagrangian, book, s)
        moved = _move(p, x, book, point.q, s, np.asarray(found))
        book, _ = _merge(moved, point.q, least_distance=least_distance)
        path.append((book, _convex_step(p, x, book, rule)))
    for number, (_, point) in enumerate(path):
        if point.infeasible[0]:
            raise ValueError(
                f"the codebook of step {number} does not reach a distortion of {distortion}; "
                "start from more codewords"
            )
    return path


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
