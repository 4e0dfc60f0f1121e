"""A transformer that predicts all streams' next bytes and, online, learns from each segment.

The one object that encoder and decoder both drive. Everything it computes in floats comes from two
compiled programs, one that reads a byte of every stream and one that learns from a segment, and
both sides call the same two in the same order. So they agree bit for bit wherever these
programs compile to the same instructions: on the same kind of device with the same version of JAX.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.codecs.text import tables
from fewbits.codecs.text.contexts import ContextTables
from fewbits.training.method import Key, Method, Params
from fewbits.training.models import transformer
from fewbits.training.models.context_features import Features
from fewbits.training.models.transformer import Memory, TransformerConfig


class TransformerPredictor:
    """Predicts under fixed parameters, or those that a method has learned so far."""

    def __init__(
        self,
        config: TransformerConfig,
        params: Params,
        n_streams: int,
        *,
        slots_log2: int = 16,
        learner: Learner | None = None,
    ):
        """Has seen nothing yet.

        Args:
          config: shape of the network.
          params: as `transformer.init` makes them.
          n_streams: texts that are read side by side.
          slots_log2: size of the tables of contexts, if the network has any.
          learner: what is done after each segment; None for nothing.
        """
        self._learner = learner
        spare = 0 if learner is None else learner.segment
        self._params = params
        self._memory = transformer.empty_memory(config, n_streams, spare)
        self._contexts = None
        if config.contexts is not None:
            self._contexts = ContextTables(n_streams, slots_log2)
        self._last = np.zeros(n_streams, np.uint8)
        self._features: Features | None = None
        self._step = _step_program(config)
        self._segment: list[tuple[np.ndarray, Features | None]] = []

    def gaps(self) -> jax.Array:
        """See `streams.Predictor`."""
        self._features = None if self._contexts is None else self._contexts.features()
        self._memory, found = self._step(self._params, self._memory, self._last, self._features)
        return found

    def observe(self, byte: np.ndarray) -> None:
        """See `streams.Predictor`."""
        if self._learner is not None:
            self._segment.append((self._last, self._features))
        self._last = byte.copy()
        if self._contexts is not None:
            self._contexts.update(byte)
        if self._learner is not None and len(self._segment) == self._learner.segment:
            self._learn(self._learner)

    def state(self) -> Any:
        """See `streams.Predictor`; the steps of an unfinished segment are part of it."""
        found = {"memory": self._memory, "last": self._last, "params": self._params}
        if self._contexts is not None:
            found["contexts"] = self._contexts.state()
        if self._learner is not None:
            found |= {
                "learner": self._learner.state(),
                "segment": self._segment_so_far(self._learner),
            }
        # Copies: steps overwrite the memory, and updates the tables.
        return jax.tree.map(np.array, found)

    def restore(self, state: Any) -> None:
        """See `streams.Predictor`."""
        self._memory, self._params = jax.tree.map(jnp.asarray, (state["memory"], state["params"]))
        self._last = state["last"].copy()
        if self._contexts is not None:
            self._contexts.restore(state["contexts"])
        if self._learner is not None:
            self._learner.restore(state["learner"])
            count, steps = state["segment"]
            self._segment = [
                jax.tree.map(lambda a, at=at: a[at].copy(), steps) for at in range(int(count))
            ]

    def _segment_so_far(self, learner: Learner) -> Any:
        """How many steps the segment has, and those, padded to a whole segment."""
        features = None if self._contexts is None else self._contexts.features()
        steps = self._segment + [(self._last, features)] * (learner.segment - len(self._segment))
        return np.array(len(self._segment)), jax.tree.map(lambda *a: np.stack(a), *steps)

    def _learn(self, learner: Learner) -> None:
        read = np.stack([byte for byte, _ in self._segment], axis=1)
        followed = np.concatenate([read[:, 1:], self._last[:, None]], axis=1)
        features = None
        if self._contexts is not None:
            features = jax.tree.map(
                lambda *steps: np.stack(steps, axis=1),
                *[feature for _, feature in self._segment],
            )
        self._segment.clear()
        self._params = learner.learn(read, followed, self._memory, features)


class Learner:
    """A method that takes one step after each segment of a text.

    Attributes:
      segment: bytes of each stream that a step learns from.
    """

    def __init__(self, method: Method, key: Key, params: Params, segment: int):
        """Starts the method.

        Args:
          method: minimises `transformer.next_byte_loss`; see `fewbits.training.method`.
          key: typed key of the whole run.
          params: where it starts.
          segment: at least 1.
        """
        self.segment = segment
        key_init, self._key = jax.random.split(key)
        # A copy, since steps give the state's memory to the next state.
        self._state = method.init(key_init, jax.tree.map(jnp.copy, params))
        self._step = _learn_program(method, segment)
        self._number = 0

    def learn(
        self,
        read: np.ndarray,
        followed: np.ndarray,
        memory: Memory,
        features: Features | None,
    ) -> Params:
        """The parameters after one more step, from a memory that has read the segment."""
        self._state, params = self._step(
            self._key, self._state, self._number, read, followed, memory, features
        )
        self._number += 1
        return params

    def state(self) -> Any:
        """The method's state and the number of steps."""
        return {"method": self._state, "number": np.array(self._number)}

    def restore(self, state: Any) -> None:
        """Goes on from there."""
        self._state = jax.tree.map(jnp.asarray, state["method"])
        self._number = int(state["number"])


@lru_cache(maxsize=8)
def _step_program(config: TransformerConfig) -> Any:
    """One program for all predictors of a process."""
    return compiled(partial(_step, config), donated=(1,))


@lru_cache(maxsize=8)
def _learn_program(method: Method, segment: int) -> Any:
    """One program for all learners by the same method, which is the same if it is one object."""
    return compiled(partial(_learn, method, segment), donated=(1,))


def _step(
    config: TransformerConfig,
    params: Params,
    memory: Memory,
    token: jax.Array,
    features: Features | None,
) -> tuple[Memory, jax.Array]:
    memory, logits = transformer.step(config, params, memory, token.astype(jnp.int32), features)
    return memory, tables.gaps(logits)


def _learn(
    method: Method,
    segment: int,
    key: Key,
    state: Any,
    number: jax.Array,
    read: jax.Array,
    followed: jax.Array,
    memory: Memory,
    features: Features | None,
) -> tuple[Any, Params]:
    tokens, next_tokens = read.astype(jnp.int32), followed.astype(jnp.int32)
    batch = (tokens, next_tokens, memory.rewound(segment), features)
    state, _ = method.step(jax.random.fold_in(key, number), state, batch)
    return state, method.finalize(state)


def compiled(function: Any, donated: tuple[int, ...]) -> Any:
    """The function as a program whose results depend on its inputs and the kind of device alone."""
    backend = jax.default_backend()
    options: dict[str, Any] = {}
    if backend == "cpu":
        # With threads, sums are cut into as many parts as there are cores.
        options = {"xla_cpu_multi_thread_eigen": False}
    elif backend == "gpu":
        options = {"xla_gpu_deterministic_ops": True}
    return jax.jit(function, donate_argnums=donated, compiler_options=options)
