"""Context-mixing features: what followed a context before, as input of a network.

For each of a few contexts (the last three bytes, the word so far) the caller passes bytes that
have followed it, and for each byte a state: how often it did, how often others did. The network
turns states into an embedding at its input and into additions to the bytes' logits, which it
gates. So a small network uses at once what it has seen a single time. The caller counts (as in
PAQ, Mahoney 2005); this module holds what is learned.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training.method import Params

VOCABULARY = 256
PARAMS = "hints"
"""Name of these parameters in a network's tree; files hold it."""


class Contexts(NamedTuple):
    """Shape of the features, static.

    Attributes:
      count: contexts.
      candidates: bytes that each of them proposes.
      states: what is known of a candidate is one of so many states; 0 is none.
    """

    count: int
    candidates: int
    states: int


class Features(NamedTuple):
    """What followed the contexts of a position before.

    Attributes:
      candidates: UInt8[..., count, candidates], bytes, the likeliest first.
      states: UInt8[..., count, candidates], how often each followed and how often others did; 0
        where there is none.
    """

    candidates: jax.Array | np.ndarray
    states: jax.Array | np.ndarray


def init(contexts: Contexts, width: int) -> Params:
    """Parameters that ignore all features, for a network that is `width` wide."""
    count, _, states = contexts
    return {
        "embedding": jnp.zeros((count * states, width)),
        "likeliest": jnp.zeros((VOCABULARY, width)),
        "logit": jnp.zeros((count * states, 1)),
        "gate": jnp.zeros((width, count)),
    }


def embedding(contexts: Contexts, params: Params, features: Features) -> jax.Array:
    """Float[batch, T, width]: how sure each context is, and the last sure one's likeliest byte."""
    rows = _state_rows(contexts, features.states[..., :1])[..., 0]
    known = jnp.asarray(features.states)[..., 0] > 0
    # Contexts come in the order of their length: the last that is known says most.
    last = contexts.count - 1 - jnp.argmax(known[..., ::-1], axis=-1)
    likeliest = jnp.take_along_axis(features.candidates[..., 0], last[..., None], axis=-1)[..., 0]
    guess = params["likeliest"][likeliest.astype(jnp.int32)]
    return params["embedding"][rows].sum(-2) + jnp.where(known.any(-1)[..., None], guess, 0.0)


def logits(contexts: Contexts, params: Params, features: Features, x: jax.Array) -> jax.Array:
    """Float[batch, T, 256]: what each state is worth, gated by the network, for its byte."""
    worth = params["logit"][_state_rows(contexts, features.states), 0]
    gate = 1 + jnp.einsum("btw,wc->btc", x, params["gate"])
    worth = jnp.where(features.states > 0, worth * gate[..., None], 0.0)
    batch, length = worth.shape[:2]
    # A scatter adds what several contexts say of one byte.
    text = np.arange(batch)[:, None, None]
    place = np.arange(length)[None, :, None]
    flat = features.candidates.reshape(batch, length, -1).astype(jnp.int32)
    nothing = jnp.zeros((batch, length, VOCABULARY))
    return nothing.at[text, place, flat].add(worth.reshape(batch, length, -1))


def _state_rows(contexts: Contexts, states: jax.Array | np.ndarray) -> jax.Array:
    """Int[..., count, k]: each context has its own rows in the tables of states."""
    first = np.arange(contexts.count, dtype=np.int32) * contexts.states
    return jnp.asarray(states, jnp.int32) + first.reshape((1,) * (states.ndim - 2) + (-1, 1))
