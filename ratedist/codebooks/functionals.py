"""What one may want of a codebook, as functions of the output marginal q and the distortions d.

With prices s_x (bits per unit), K_xj = 2^(-s_x d_xj), u = K q and Q(j|x) = q_j K_xj / u_x:

    lagrangian   L = -sum_x p_x log2 u_x + (sum_j q_j - 1) / ln 2   (I(X;Y) + s E d at the optimum)
    coded        J = H(Y) + s E d                                   (Y entropy coded as it stands)
    rounded      J of the encoder Q^(1/T), normalised               (T -> 0: the likeliest codeword)

q is the *minimiser of L*. So the derivative of L with respect to d may hold q still (the envelope
theorem), and that of the others may not: there the optimum has to be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fewbits.coding.units import bits_to_nats, entropy_bits, log2, nats_to_bits

Functional = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]
"""(p Float[n], d Float[n, m], q Float[m], s Float[] or Float[n]) -> Float[], bits."""


def kernel(d: jax.Array, s: jax.Array) -> jax.Array:
    """2^(-s_x (d - min_j d)), Float[..., n, m]; the shift changes no minimiser, no derivative."""
    nearest = jax.lax.stop_gradient(jnp.min(d, axis=-1, keepdims=True))
    return jnp.exp(-bits_to_nats(jnp.reshape(s, (1,) * (d.ndim - 2) + (-1, 1))) * (d - nearest))


def posterior(d: jax.Array, q: jax.Array, s: jax.Array) -> jax.Array:
    """The encoder Q(j|x) that q induces, Float[n, m]."""
    weights = kernel(d, s) * q[None, :]
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def lagrangian(p: jax.Array, d: jax.Array, q: jax.Array, s: jax.Array) -> jax.Array:
    """L(q; d), whose minimum over q is I(X;Y) + s E d in bits."""
    nearest = jax.lax.stop_gradient(jnp.min(d, axis=1))
    free_energy = -(p @ log2(kernel(d, s) @ q)) + p @ (s * nearest)
    return free_energy + nats_to_bits(q.sum() - 1.0)


def distortion(p: jax.Array, d: jax.Array, q: jax.Array, s: jax.Array) -> jax.Array:
    """E d of the encoder that q induces."""
    return p @ jnp.sum(posterior(d, q, s) * d, axis=1)


def coded(p: jax.Array, d: jax.Array, q: jax.Array, s: jax.Array) -> jax.Array:
    """H(Y) + s E d of the encoder that q induces, in bits."""
    return _coded(p, d, posterior(d, q, s), s)


def rounded(temperature: float) -> Functional:
    """H(Y) + s E d after the encoder is sharpened: Q^(1/T), normalised.

    Rounding to the most likely codeword is T -> 0; it is constant almost everywhere in the codebook
    and has no gradient to follow, so a small temperature stands for it.

    Args:
      temperature: T, positive; 1 leaves the encoder as it is.

    Raises:
      ValueError: a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature {temperature}; it must be positive")

    def functional(p: jax.Array, d: jax.Array, q: jax.Array, s: jax.Array) -> jax.Array:
        # log2 is 0 at 0 by convention; a codeword without mass must not come back here.
        logits = jnp.where(q > 0, log2(q), -jnp.inf)[None, :] - jnp.reshape(s, (-1, 1)) * d
        return _coded(p, d, jax.nn.softmax(bits_to_nats(logits) / temperature, axis=1), s)

    return functional


def _coded(p: jax.Array, d: jax.Array, letter: jax.Array, s: jax.Array) -> jax.Array:
    return entropy_bits(p @ letter) + p @ (s * jnp.sum(letter * d, axis=1))
