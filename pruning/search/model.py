"""A user's function and trees as the search sees them: float32 weights, a state, one forward pass.

Leaves that are no floats stay where they are; floats of any width are trained as float32 and given
to the user's function in their own dtype; leaves that are one and the same array stay equal.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import evaluation
from fewbits.training.method import Key, Params
from pruning import leaves

_STATE_BATCHES = 100


class Model:
    """The forward passes of a network.

    Attributes:
      params: as given.
      state: as given.
      is_float: bool tree, True at leaves that are trained: floats, the first of shared ones.
    """

    def __init__(self, apply: Callable[..., Any], params: Params, state: Any):
        self.params, self.state, self._apply = params, state, apply
        accepted = _keywords(apply, 2 if state is None else 3)
        self.trains = "train" in accepted
        self.draws = "key" in accepted
        self._first = _first_of_shared(params)
        floats, structure = jax.tree.flatten(leaves.chosen(None, params))
        self.is_float = structure.unflatten(
            [
                on and first == place
                for place, (on, first) in enumerate(zip(floats, self._first, strict=True))
            ]
        )
        if not any(jax.tree.leaves(self.is_float)):
            raise ValueError("the parameters hold no array of floats")

    def weights(self, params: Params) -> Params:
        """The tree with None in place of leaves that are not trained, the others as float32."""
        return jax.tree.map(
            lambda leaf, on: jnp.asarray(leaf, jnp.float32) if on else None, params, self.is_float
        )

    def whole(self, weights: Params) -> Params:
        """The inverse of `weights`, in the dtypes that were given."""
        given, structure = jax.tree.flatten(self.params)
        new = structure.flatten_up_to(weights)
        filled = [
            old if new[first] is None else new[first].astype(jnp.result_type(old))
            for old, first in zip(given, self._first, strict=True)
        ]
        return structure.unflatten(filled)

    def logits(self, weights: Params, state: Any, inputs: Any) -> jax.Array:
        """What the network says of a batch."""
        extra: dict[str, Any] = {"train": False} if self.trains else {}
        if self.draws:
            extra["key"] = jax.random.key(0)
        whole = self.whole(weights)
        out = (
            self._apply(whole, inputs, **extra)
            if state is None
            else self._apply(whole, self._own_dtypes(state), inputs, **extra)
        )
        if not hasattr(out, "dtype"):
            raise ValueError(
                f"apply gives a {type(out).__name__}; it should give logits alone, and with a "
                "keyword `train` that is True logits and the new state"
            )
        return out.astype(jnp.float32)

    def training(self, key: Key, weights: Params, state: Any, inputs: Any) -> tuple[jax.Array, Any]:
        """The logits as a training step sees them, and the state after it."""
        if not (self.trains or self.draws):
            return self.logits(weights, state, inputs), state
        extra: dict[str, Any] = {"train": True} if self.trains else {}
        if self.draws:
            extra["key"] = key
        whole = self.whole(weights)
        if state is None:
            return self._apply(whole, inputs, **extra).astype(jnp.float32), None
        out = self._apply(whole, self._own_dtypes(state), inputs, **extra)
        logits, state = out if isinstance(out, tuple) else (out, state)
        return logits.astype(jnp.float32), state

    def settled(self, key: Key, weights: Params, inputs: Any, batch_size: int) -> Any:
        """The state that the weights call for: its statistics averaged over data. Traceable.

        A running mean s' = m s + (1 - m) b tells m and the batch's own b by two values of s, so
        that b is averaged and nothing of the old state is left (Wu & Johnson 2021, "precise"
        statistics). What is no running mean is updated batch by batch.

        Args:
          key: typed PRNG key.
          weights: of the network.
          inputs: training inputs; the first hundred batches are read.
          batch_size: examples at a time.
        """
        if self.state is None or not self.trains:
            return self.state
        n = jax.tree.leaves(inputs)[0].shape[0]
        batch_size = min(batch_size, n)
        n_batches = min(n // batch_size, _STATE_BATCHES)
        batches = jax.tree.map(
            lambda a: a[: n_batches * batch_size].reshape(n_batches, batch_size, *a.shape[1:]),
            inputs,
        )
        floats = leaves.chosen(None, self.state)
        state = jax.tree.map(jnp.asarray, self.state)

        def filled(number: float) -> Any:
            return jax.tree.map(
                lambda leaf, on: jnp.full_like(leaf, number) if on else leaf, state, floats
            )

        def one(carried: Any, batch: Any) -> tuple[Any, Any]:
            after = [
                self.training(key, weights, start, batch)[1]
                for start in (carried, filled(0.0), filled(1.0))
            ]
            return after[0], (after[1], after[2])

        last, (from_zero, from_one) = jax.lax.scan(one, state, batches)

        def mean(at_last: Any, zero: Any, at_one: Any, on: bool) -> Any:
            if not on:
                return at_last
            memory = jnp.median(at_one - zero)
            # All of it must follow the formula; what does not is taken as it ran.
            running = (jnp.abs(at_one - zero - memory) < 1e-3 * (1 + jnp.abs(zero))).all()
            found = (zero / jnp.maximum(1 - memory, 1e-6)).mean(axis=0)
            good = running & (memory > 1e-6) & (memory < 1) & jnp.isfinite(found).all()
            return jnp.where(good, found, at_last).astype(at_last.dtype)

        return jax.tree.map(mean, last, from_zero, from_one, floats)

    def accuracy(self, weights: Params, state: Any, data: tuple[Any, jax.Array]) -> jax.Array:
        """Share of examples whose largest logit is the label's."""
        return evaluation.accuracy(lambda w, x: self.logits(w, state, x), weights, *data)

    def _own_dtypes(self, state: Any) -> Any:
        return jax.tree.map(
            lambda leaf, given: jnp.asarray(leaf).astype(jnp.result_type(given)), state, self.state
        )


def _keywords(apply: Callable[..., Any], n_positional: int) -> set[str]:
    """Names among `train` and `key` that a function takes by keyword."""
    try:
        parameters = list(inspect.signature(apply).parameters.values())
    except (TypeError, ValueError):
        return set()
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {
        one.name
        for place, one in enumerate(parameters)
        if one.name in ("train", "key")
        and one.kind in by_name
        and (place >= n_positional or one.kind == inspect.Parameter.KEYWORD_ONLY)
    }


def _first_of_shared(params: Params) -> list[int]:
    """For each leaf the place of the first leaf that is the same array."""
    seen: dict[int, int] = {}
    found = []
    for place, leaf in enumerate(jax.tree.leaves(params)):
        is_array = isinstance(leaf, jax.Array | np.ndarray)
        found.append(seen.setdefault(id(leaf), place) if is_array else place)
    return found
