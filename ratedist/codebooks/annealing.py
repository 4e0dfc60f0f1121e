"""From the convex problem to a deterministic code, by lowering a temperature.

At the price s (bits per unit of distortion) and the temperature T, minimise over encoders Q, output
marginals q and codewords y

    F_T = H(Y) - T H(Y|X) + s E|X - Y|^2,

alternating Q(j|x) ~ (q_j 2^(-s |x - y_j|^2))^(1/T), q = p Q and y_j = E[X | Y = j] (in the manner
of Rose 1998, with an entropy in place of a fixed number of codewords). At T = 1, F is
I(X;Y) + s E d, the convex rate-distortion problem. At T = 0 it is H(Y) + s E d, what an entropy
coder pays, and the best encoder is deterministic. In between every codeword that is not worth its
bits dies out or meets another; `merging` takes it out of the mask.

The rate-distortion optimum of a Gaussian has no finite codebook, and raising s alone moves along
R(D) without making any encoder deterministic: it is T that does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from fewbits.coding.units import bits_to_nats, entropy_bits, log2
from ratedist.codebooks.merging import (
    Codebook,
    as_points,
    check_points,
    codebook,
    merge,
    squared_distances,
)
from ratedist.problem.checks import as_array, as_mass, check_price, check_problem, concrete
from ratedist.problem.float64 import in_float64, program

_COLDEST = 1e-9


class Annealed(NamedTuple):
    """One state of the annealing; `anneal` returns the states at every temperature, stacked.

    Attributes (B temperatures in front):
      book: the codebook, `points` Float[m, k] and `mask` Bool[m].
      q: Float[m], output marginal.
      mutual_information_bits: Float[], I(X;Y) of the encoder at this temperature.
      output_entropy_bits: Float[], H(Y): the rate if Y is entropy coded as it stands.
      conditional_entropy_bits: Float[], H(Y|X), the randomness of the encoder.
      distortion: Float[], mean squared error.
      codewords: Int[], how many are in use.
    """

    book: Codebook
    q: jax.Array
    mutual_information_bits: jax.Array
    output_entropy_bits: jax.Array
    conditional_entropy_bits: jax.Array
    distortion: jax.Array
    codewords: jax.Array


@in_float64
def soft_encoder(
    distances: jax.Array, q: jax.Array, s: ArrayLike, temperature: ArrayLike
) -> jax.Array:
    """Q(j|x) ~ (q_j 2^(-s d_xj))^(1/T), Float[n, m]; codewords with q = 0 are left out.

    Args:
      distances: Float[n, m].
      q: Float[m], output marginal.
      s: Float[], bits per unit of distortion.
      temperature: Float[], T > 0.
    """
    exponent = jnp.where(q > 0, log2(q), -jnp.inf)[None, :] - s * distances
    return jax.nn.softmax(bits_to_nats(exponent) / temperature, axis=1)


@program
def anneal(
    p: Float[ArrayLike, " n"],
    x: Float[ArrayLike, "n k"] | Float[ArrayLike, " n"],
    book: Codebook | Float[ArrayLike, "m k"] | Float[ArrayLike, " m"],
    s: Float[ArrayLike, ""],
    temperatures: Float[ArrayLike, " B"],
    *,
    steps: int = 30,
    least_mass: Float[ArrayLike, ""] = 1e-3,
    least_distance: Float[ArrayLike, ""] = 1e-3,
) -> Annealed:
    """A deterministic code of small H(Y) + s E|X - Y|^2, by lowering a temperature.

    `steps` alternations at each temperature, then light codewords are dropped and near ones merged
    (in the manner of Rose 1998; see the module for the objective).

    Args:
      p: probabilities.
      x: letters.
      book: codewords to start from: points, or a `Codebook` whose mask shrinks; the shape stays.
      s: price of distortion, bits per unit.
      temperatures: from 1 down; 0 stands for a very small one.
      steps: alternations at each temperature.
      least_mass: codewords below this probability are dropped.
      least_distance: codewords no farther apart are merged.

    Returns:
      The state after each temperature, a leading axis B on every field: `book`, `q`, the rates
      `mutual_information_bits` and `output_entropy_bits`, `distortion` and others.

    Raises:
      ValueError: a bad probability vector, points that do not fit, a negative price or temperature.

    >>> import numpy as np, ratedist
    >>> p, x = np.full(8, 1 / 8), np.arange(8.0)
    >>> path = ratedist.anneal(p, x, [0.5, 2.0, 5.0, 7.0], 1.0, [1.0, 0.3, 0.1, 0.0])
    >>> bool(path.conditional_entropy_bits[-1] < 1e-6), path.codewords.shape
    (True, (4,))
    """
    p, letters, temperatures = as_array(p), as_points(x), as_array(temperatures)
    book = book if isinstance(book, Codebook) else codebook(as_array(book))
    check_points(letters, book.points)
    check_problem(p, np.zeros((letters.shape[0], 1)))
    check_price(s)
    known = concrete(temperatures)
    if np.ndim(temperatures) != 1 or (known is not None and not (known >= 0).all()):
        raise ValueError(f"temperatures {temperatures}; give a list of numbers, from 1 down to 0")
    book = Codebook(*map(jnp.asarray, book))
    return _anneal(p, letters, book, s, temperatures, (least_mass, least_distance), steps)


@jax.jit
def _anneal(
    p: Any, x: Any, book: Codebook, s: Any, temperatures: Any, least: Any, steps: Any
) -> Annealed:
    p, x = jnp.asarray(as_mass(p)), jnp.asarray(x, jnp.float64)
    s = jnp.asarray(s, jnp.float64)
    least_mass, least_distance = least

    def improve(temperature: jax.Array, book: Codebook, q: jax.Array) -> tuple[Codebook, jax.Array]:
        letter = soft_encoder(squared_distances(x, book.points), q, s, temperature)
        q = p @ letter
        centroid = letter.T @ (p[:, None] * x) / jnp.where(q > 0, q, 1.0)[:, None]
        points = jnp.where(q[:, None] > 0, centroid, book.points)
        return Codebook(points, book.mask), q

    def cool(
        carry: tuple[Codebook, jax.Array], temperature: jax.Array
    ) -> tuple[tuple[Codebook, jax.Array], Annealed]:
        temperature = jnp.maximum(temperature, _COLDEST)
        carry = jax.lax.fori_loop(0, steps, lambda _, c: improve(temperature, *c), carry)
        book, q = carry
        book, q = merge(book, q, least_mass=least_mass, least_distance=least_distance)
        return (book, q), _measure(x, p, book, q, s, temperature)

    q = book.mask / book.mask.sum()
    return jax.lax.scan(cool, (book, q), jnp.asarray(temperatures, jnp.float64))[1]


def _measure(
    x: jax.Array, p: jax.Array, book: Codebook, q: jax.Array, s: jax.Array, temperature: jax.Array
) -> Annealed:
    distances = squared_distances(x, book.points)
    letter = soft_encoder(distances, q, s, temperature)
    output = entropy_bits(p @ letter)
    conditional = p @ entropy_bits(letter)
    return Annealed(
        book=book,
        q=p @ letter,
        mutual_information_bits=output - conditional,
        output_entropy_bits=output,
        conditional_entropy_bits=conditional,
        distortion=p @ jnp.sum(letter * distances, axis=1),
        codewords=book.mask.sum(),
    )
