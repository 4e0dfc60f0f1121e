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

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fewbits.coding.units import bits_to_nats, entropy_bits, log2
from ratedist.codebooks.merging import Codebook, merge, squared_distances
from ratedist.solvers.float64 import in_float64

_COLDEST = 1e-9


class Annealed(NamedTuple):
    """One state of the annealing; `anneal` returns the states at every temperature, stacked.

    Fields (B temperatures in front):
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


@in_float64
def anneal(
    x: ArrayLike,
    p: ArrayLike,
    book: Codebook,
    s: ArrayLike,
    temperatures: ArrayLike,
    *,
    steps: int = 30,
    least_mass: float = 1e-3,
    least_distance: float = 1e-3,
) -> Annealed:
    """Lower the temperature, `steps` alternations at each value, then prune and merge.

    Args:
      x: Float[n, k], letters.
      p: Float[n], probabilities.
      book: codewords to start from; the mask shrinks, the shape stays.
      s: Float[], price of distortion, bits per unit.
      temperatures: Float[B], from 1 down; 0 stands for a very small one.
      steps: alternations at each temperature.
      least_mass: see `merging.merge`.
      least_distance: see `merging.merge`.

    Returns:
      The state after each temperature, a leading axis B on every field.
    """
    x, p = jnp.asarray(x, jnp.float64), jnp.asarray(p, jnp.float64)
    x = x[:, None] if x.ndim == 1 else x
    book = Codebook(*map(jnp.asarray, book))
    s = jnp.asarray(s, jnp.float64)

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
