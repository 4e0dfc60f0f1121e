"""A text file without a network in it: encoder and decoder train the same one as they go.

The text is coded byte by byte under the network that the bytes so far have trained; after every
segment of each stream the network takes one step of its method. The decoder repeats all of it,
which takes as long as encoding and needs the same kind of device. The code length is the
prequential one (Dawid 1984), written as a file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from fewbits.codecs.text import header, streams
from fewbits.codecs.text.header import Header
from fewbits.codecs.text.predictor import Learner, TransformerPredictor
from fewbits.coding import FormatError
from fewbits.training import gradient_descent
from fewbits.training.method import Loss, Method, OptimizerFactory
from fewbits.training.models import transformer
from fewbits.training.models.transformer import TransformerConfig

Build = Callable[[Loss, OptimizerFactory, float, float], Method]
"""(loss, optimiser factory, learning rate, penalty weight) -> the method that learns."""
MODE = "online"
DEFAULT_MODEL = TransformerConfig(
    width=128, layers=2, heads=4, window=64, contexts=header.contexts.SHAPE
)
"""Small enough that a core codes a few kilobytes a second, encoding or decoding."""
_FILE_NAMES = {"streams": "lanes", "bytes_per_stream": "bytes_per_lane"}
"""Fields of `Learning` that files hold under other names."""


@dataclass(frozen=True)
class Learning:
    """How the network learns while the text is coded.

    Attributes:
      method: name of a `Build`.
      strength: weight of its penalty; plain training has none.
      learning_rate: of Adam, after the warm-up.
      final_rate: share of it that a cosine over the whole text ends at.
      warm_up_steps: over which it rises.
      clip: largest norm of a gradient.
      segment: bytes of each stream between two steps.
      streams: the most streams.
      bytes_per_stream: texts with fewer than that for each stream have fewer streams: every one
        starts without a past and ends with a few bytes of state.
      seed: of the first parameters and whatever the method draws.
    """

    method: str = "none"
    strength: float = 0.0
    learning_rate: float = 3e-3
    final_rate: float = 0.1
    warm_up_steps: int = 50
    clip: float = 1.0
    segment: int = 16
    streams: int = 32
    bytes_per_stream: int = 4096
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.streams <= header.MAX_STREAMS or not 1 <= self.segment <= 4096:
            raise ValueError(
                f"streams must be 1 to {header.MAX_STREAMS} and segment 1 to 4096, "
                f"got {self.streams} and {self.segment}"
            )
        if min(self.warm_up_steps, self.seed, self.bytes_per_stream - 1) < 0 or not self.clip > 0:
            raise ValueError(
                "warm_up_steps and seed must not be negative, bytes_per_stream and clip positive, "
                f"got {self.warm_up_steps}, {self.seed}, {self.bytes_per_stream}, {self.clip}"
            )


@dataclass(frozen=True)
class OnlineConfig:
    """Static choices of `compress`.

    Attributes:
      model: shape of the network.
      learning: how it learns.

    Example:
      >>> from fewbits.codecs.text import Learning, OnlineConfig
      >>> OnlineConfig(learning=Learning(streams=8, seed=1)).model.width
      128
    """

    model: TransformerConfig = DEFAULT_MODEL
    learning: Learning = Learning()


def plain(loss: Loss, optimizer: OptimizerFactory, rate: float, strength: float) -> Method:
    """Training without a penalty."""
    del strength
    hyperparameters = gradient_descent.Hyperparameters(rate)
    return gradient_descent.build(
        gradient_descent.GradientDescentConfig(hyperparameters), loss, optimizer
    )


METHODS: Mapping[str, Build] = {"none": plain}
"""What this package can learn with; callers may know more."""


def compress(
    text: bytes,
    config: OnlineConfig = OnlineConfig(),
    methods: Mapping[str, Build] = METHODS,
    run: streams.Run = streams.run,
) -> bytes:
    """The bytes of an online text file.

    Args:
      text: any bytes.
      config: static choices.
      methods: builds by name; the decoder needs the same one.
      run: takes the coder to its end; see `streams.Run`.

    Returns:
      The file. The package's docstring has an example.

    Raises:
      ValueError: an unknown method.
    """
    n_streams = _n_streams(config.learning, len(text))
    coded = streams.Coded(b"", b"")
    if text:
        coded = streams.encode(_predictor(config, methods, len(text)), text, n_streams, run)
    rest = {_FILE_NAMES.get(k, k): v for k, v in dataclasses.asdict(config.learning).items()}
    described = Header(MODE, len(text), n_streams, config.model, rest, header.here())
    return header.write(described, coded, {})


def decompress(
    described: Header,
    coded: streams.Coded,
    methods: Mapping[str, Build] = METHODS,
    run: streams.Run = streams.run,
) -> bytes:
    """The text again, from what `header.read` took out of the file.

    Raises:
      FormatError: not what `compress` wrote, or a device that computes otherwise.
    """
    learning = header.config(Learning, _from_file(described.rest))
    if learning.method not in methods:
        raise FormatError(f"method {learning.method!r}; known here: {', '.join(methods)}", "header")
    if described.n_streams != _n_streams(learning, described.size):
        raise FormatError(f"{described.n_streams} streams for {described.size} bytes", "header")
    if not described.size:
        if coded != streams.Coded(b"", b""):
            raise FormatError("something where nothing was coded", streams.SECTION)
        return b""
    predictor = _predictor(OnlineConfig(described.model, learning), methods, described.size)
    return streams.decode(predictor, coded, described.size, described.n_streams, run)


def _from_file(found: Any) -> Any:
    """The names of `Learning` in place of the file's; a file with the former is refused."""
    if not isinstance(found, dict):
        return found
    names = {stored: name for name, stored in _FILE_NAMES.items()}
    return {names.get(k, f"{k}?" if k in _FILE_NAMES else k): v for k, v in found.items()}


def _n_streams(learning: Learning, size: int) -> int:
    return min(learning.streams, max(1, size // learning.bytes_per_stream))


def _predictor(
    config: OnlineConfig, methods: Mapping[str, Build], size: int
) -> TransformerPredictor:
    learning = config.learning
    if learning.method not in methods:
        raise ValueError(f"no method {learning.method!r}; known: {', '.join(methods)}")
    n_streams = _n_streams(learning, size)
    steps = size // (n_streams * learning.segment)
    key_params, key_run = jax.random.split(jax.random.key(learning.seed))
    params = header.start_params(config.model, key_params)
    method = _method(methods[learning.method], config.model, learning, steps)
    learner = Learner(method, key_run, params, learning.segment)
    return TransformerPredictor(
        config.model,
        params,
        n_streams,
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
