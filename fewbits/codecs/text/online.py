"""A text file without a network in it: encoder and decoder train the same one as they go.

The text is coded byte by byte under the network that the bytes so far have trained; after every
segment of each lane the network takes one step of its method. The decoder replays all of it, which
takes as long as encoding and needs the same kind of device. The code length is the prequential one
(Dawid 1984), written as a file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from fewbits.codecs.text import header
from fewbits.codecs.text import streams as lanes
from fewbits.codecs.text.header import Header
from fewbits.codecs.text.predictor import Learner, TransformerPredictor
from fewbits.coding import FormatError
from fewbits.training import gradient_descent, transformer
from fewbits.training.method import Loss, Method, OptimizerFactory
from fewbits.training.transformer import TransformerConfig

Build = Callable[[Loss, OptimizerFactory, float, float], Method]
"""(loss, optimiser factory, learning rate, strength) -> the method that learns."""
MODE = "online"


@dataclass(frozen=True)
class Learning:
    """How the network learns while the text is coded.

    Attributes:
      method: name of a `Build`.
      strength: of its penalty; plain training has none.
      learning_rate: of Adam, after the warm-up.
      final_rate: share of it that a cosine over the whole text ends at.
      warm_up_steps: over which it rises.
      clip: largest norm of a gradient.
      segment: bytes of each lane between two steps.
      lanes: the most lanes.
      bytes_per_lane: texts with fewer than that for each lane have fewer lanes: every lane starts
        without a past and ends with a few bytes of state.
      seed: of the first parameters and whatever the method draws.
    """

    method: str = "none"
    strength: float = 0.0
    learning_rate: float = 3e-3
    final_rate: float = 0.1
    warm_up_steps: int = 50
    clip: float = 1.0
    segment: int = 16
    lanes: int = 32
    bytes_per_lane: int = 4096
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.lanes <= header.MOST_LANES or not 1 <= self.segment <= 4096:
            raise ValueError(
                f"lanes must be 1 to {header.MOST_LANES} and segment 1 to 4096, "
                f"got {self.lanes} and {self.segment}"
            )
        if min(self.warm_up_steps, self.seed, self.bytes_per_lane - 1) < 0 or not self.clip > 0:
            raise ValueError(
                "warm_up_steps and seed must not be negative, bytes_per_lane and clip positive, "
                f"got {self.warm_up_steps}, {self.seed}, {self.bytes_per_lane}, {self.clip}"
            )


@dataclass(frozen=True)
class OnlineConfig:
    """Static choices.

    Attributes:
      model: shape of the network.
      learning: how it learns.
    """

    model: TransformerConfig = field(default_factory=lambda: DEFAULT_MODEL)
    learning: Learning = Learning()


def plain(loss: Loss, optimizer: OptimizerFactory, rate: float, strength: float) -> Method:
    """Training without a penalty."""
    del strength
    hyperparameters = gradient_descent.Hyperparameters(rate)
    return gradient_descent.build(
        gradient_descent.GradientDescentConfig(hyperparameters), loss, optimizer
    )


METHODS: Mapping[str, Build] = {"none": plain}
"""What this room can learn with; callers may know more."""


def compress(
    text: bytes,
    config: OnlineConfig,
    methods: Mapping[str, Build] = METHODS,
    run: lanes.Run = lanes.run,
) -> bytes:
    """The bytes of an online text file.

    Args:
      text: any bytes.
      config: static choices.
      methods: builds by name; the decoder needs the same one.
      run: takes the coder to its end; see `lanes.Run`.

    Raises:
      ValueError: an unknown method.
    """
    n_lanes = _lanes(config.learning, len(text))
    coded = lanes.Coded(b"", b"")
    if text:
        coded = lanes.encode(_predictor(config, methods, len(text)), text, n_lanes, run)
    rest = dataclasses.asdict(config.learning)
    described = Header(MODE, len(text), n_lanes, config.model, rest, header.here())
    return header.write(described, coded, {})


def decompress(
    described: Header,
    coded: lanes.Coded,
    methods: Mapping[str, Build] = METHODS,
    run: lanes.Run = lanes.run,
) -> bytes:
    """The text again, from what `header.read` took out of the file.

    Raises:
      FormatError: not what `compress` wrote, or a device that computes otherwise.
    """
    learning = header.config(Learning, described.rest)
    if learning.method not in methods:
        raise FormatError(f"method {learning.method!r}; known here: {', '.join(methods)}", "header")
    if described.n_lanes != _lanes(learning, described.size):
        raise FormatError(f"{described.n_lanes} lanes for {described.size} bytes", "header")
    if not described.size:
        if coded != lanes.Coded(b"", b""):
            raise FormatError("something where nothing was coded", lanes.SECTION)
        return b""
    predictor = _predictor(OnlineConfig(described.model, learning), methods, described.size)
    return lanes.decode(predictor, coded, described.size, described.n_lanes, run)


def _lanes(learning: Learning, size: int) -> int:
    return min(learning.lanes, max(1, size // learning.bytes_per_lane))


def _predictor(
    config: OnlineConfig, methods: Mapping[str, Build], size: int
) -> TransformerPredictor:
    learning = config.learning
    if learning.method not in methods:
        raise ValueError(f"no method {learning.method!r}; known: {', '.join(methods)}")
    n_lanes = _lanes(learning, size)
    steps = size // (n_lanes * learning.segment)
    key_params, key_run = jax.random.split(jax.random.key(learning.seed))
    params = header.start_params(config.model, key_params)
    method = _method(methods[learning.method], config.model, learning, steps)
    learner = Learner(method, key_run, params, learning.segment)
    return TransformerPredictor(
        config.model,
        params,
        n_lanes,
        slots_log2=header.slots_log2(size),
        learner=learner,
    )


@lru_cache(maxsize=8)
def _method(build: Build, model: TransformerConfig, learning: Learning, steps: int) -> Method:
    """The same object for the same arguments, so that a process compiles its step once."""
    loss = transformer.next_byte_loss(model)
    optimizer = partial(_optimizer, learning, steps)
    return build(loss, optimizer, learning.learning_rate, learning.strength)


def _optimizer(learning: Learning, steps: int, rate: Any) -> optax.GradientTransformation:
    def factor(count: ArrayLike) -> jax.Array:
        step = jnp.asarray(count)
        rise = jnp.minimum((step + 1) / (learning.warm_up_steps + 1), 1.0)
        done = jnp.clip(step / max(steps, 1), 0.0, 1.0)
        fall = 0.5 * (1 + jnp.cos(jnp.pi * done))
        return rise * (learning.final_rate + (1 - learning.final_rate) * fall)

    return optax.chain(
        optax.clip_by_global_norm(learning.clip),
        # A text is short: the second moment forgets within hundreds of steps, not thousands.
        optax.adam(rate, b2=0.99),
        optax.scale_by_schedule(factor),
    )


DEFAULT_MODEL = TransformerConfig(
    width=128, layers=2, heads=4, window=64, contexts=header.contexts.SHAPE
)
"""Small enough that a core codes a few kilobytes a second, encoding or decoding."""
