"""A byte-level decoder transformer, as pure functions: whole texts, or byte by byte.

RMS norms before each sublayer, rotary positions, heads that see the last `window` bytes, GELU, no
biases but the output's. The paper's transformers (`d` wide, feed-forward 4 d) with two changes: a
sliding window in place of chunks that each begin without any past, and so positions that only
say how far two bytes are apart. `apply` reads many bytes at once; `step` reads one more byte of
each text and remembers keys and values in a ring, so that a file of any length goes through in
one piece.

A network may have contexts, for which the caller hands in what followed them before
(`fewbits.training.models.context_features`); without them it is a plain transformer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.training.method import Key, Loss, Params
from fewbits.training.models import context_features
from fewbits.training.models.context_features import VOCABULARY, Contexts, Features

PERIOD = 1 << 14
"""Positions are angles on a circle: rotary frequencies are whole turns in so many bytes."""
_SLOWEST = 10_000.0
_LONGEST_WINDOW = PERIOD // 4


@dataclass(frozen=True)
class TransformerConfig:
    """Static choices.

    Attributes:
      width: numbers in the residual stream, d.
      layers: blocks of attention and feed-forward.
      heads: of attention; each is width / heads wide, an even number.
      window: bytes that a head sees, the one it stands at included.
      expansion: feed-forward units for each of the stream's.
      tied: the output uses the embedding's weights.
      contexts: shape of the context-mixing features; None for a plain transformer.
      compute: what matrix products are made of; parameters and logits stay float32.
    """

    width: int
    layers: int
    heads: int
    window: int = 256
    expansion: int = 4
    tied: bool = False
    contexts: Contexts | None = None
    compute: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self):
        sizes = (self.width, self.layers, self.heads, self.expansion)
        if min(sizes) < 1 or self.width % self.heads or self.width // self.heads % 2:
            raise ValueError(
                "a transformer needs positive sizes and heads of an even width, got width "
                f"{self.width}, layers {self.layers}, heads {self.heads}, "
                f"expansion {self.expansion}"
            )
        if not 1 <= self.window <= _LONGEST_WINDOW:
            raise ValueError(f"window must be 1 to {_LONGEST_WINDOW}, got {self.window}")
        if self.compute not in ("float32", "bfloat16"):
            raise ValueError(f"compute must be float32 or bfloat16, got {self.compute!r}")


SIZES = {
    "t1": TransformerConfig(width=64, layers=4, heads=4),
    "t4": TransformerConfig(width=256, layers=5, heads=8),
    "t25": TransformerConfig(width=512, layers=8, heads=8),
}
"""0.23, 4.1 and 25 million parameters; the paper's smallest, third and a baseline size."""


class Memory(NamedTuple):
    """What `step` keeps of the bytes it has read: a ring for each layer.

    Attributes:
      keys: layers of Float[batch, heads, slots, width / heads], rotated to their positions.
      values: the same.
      position: Int[], bytes read so far by every text.
    """

    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]
    position: jax.Array

    def rewound(self, count: int) -> Memory:
        """The memory of `count` bytes ago, if there were at least so many `spare` slots."""
        return self._replace(position=self.position - count)


def init(config: TransformerConfig, key: Key) -> Params:
    """Random parameters.

    Returns:
      `{"embedding", "block1": {"qkv", "attention", "expand", "contract"}, ..., "output"}` with
      kernels Float[inputs, outputs], norms' scales, and those of `context_features` where there are
      contexts.
    """
    key_embedding, key_blocks, key_output = jax.random.split(key, 3)
    width, hidden = config.width, config.width * config.expansion

    def kernel(key: Key, rows: int, columns: int, scale: float = 1.0) -> dict[str, jax.Array]:
        return {"kernel": jax.random.normal(key, (rows, columns)) * (scale / rows**0.5)}

    def norm() -> dict[str, jax.Array]:
        return {"scale": jnp.ones(width)}

    # What 2 * layers sublayers add to the stream adds up to about what was there.
    into_stream = (2 * config.layers) ** -0.5
    params: dict[str, Any] = {
        "embedding": {"kernel": jax.random.normal(key_embedding, (VOCABULARY, width)) * 0.5}
    }
    for number in range(config.layers):
        keys = jax.random.split(jax.random.fold_in(key_blocks, number), 4)
        params[f"block{number + 1}"] = {
            "norm1": norm(),
            "qkv": kernel(keys[0], width, 3 * width),
            "attention": kernel(keys[1], width, width, into_stream),
            "norm2": norm(),
            "expand": kernel(keys[2], width, hidden),
            "contract": kernel(keys[3], hidden, width, into_stream),
        }
    params["norm"] = norm()
    params["output"] = {"bias": jnp.zeros(VOCABULARY)}
    if not config.tied:
        params["output"] |= kernel(key_output, width, VOCABULARY, 0.1)
    if config.contexts is not None:
        params[context_features.PARAMS] = context_features.init(config.contexts, width)
    return params


def apply(
    config: TransformerConfig,
    params: Params,
    tokens: jax.Array,
    memory: Memory | None = None,
    features: Features | None = None,
) -> jax.Array:
    """Logits of the byte after each of many.

    Args:
      config: shape of the network.
      params: as `init` makes them.
      tokens: Int[batch, T].
      memory: what came before; the text begins here if None. Only `memory.position` and older
        bytes are read: rewind what has already stepped over `tokens`.
      features: context-mixing features, leading axes [batch, T].

    Returns:
      Float32[batch, T, 256].
    """
    length = tokens.shape[1]
    before = jnp.zeros((), jnp.int32) if memory is None else memory.position
    positions = before + jnp.arange(length, dtype=jnp.int32)
    remembered = None if memory is None else _slot_positions(memory)

    def attend(layer: int, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        if memory is None or remembered is None:
            return _attention(q, k, v, _visible(config, positions, positions))
        keys = jnp.concatenate([memory.keys[layer], k], axis=2)
        values = jnp.concatenate([memory.values[layer], v], axis=2)
        at = jnp.concatenate([remembered, positions])
        return _attention(q, keys, values, _visible(config, positions, at))

    return _network(config, params, tokens, positions, features, attend)


def empty_memory(config: TransformerConfig, n_texts: int, spare: int = 0) -> Memory:
    """The memory of nothing, for so many texts.

    Args:
      config: shape of the network.
      n_texts: texts that are read side by side.
      spare: bytes that it can be rewound by.
    """
    shape = (n_texts, config.heads, config.window + spare, config.width // config.heads)
    ring = tuple(jnp.zeros(shape, config.compute) for _ in range(config.layers))
    return Memory(ring, jax.tree.map(jnp.copy, ring), jnp.zeros((), jnp.int32))


def step(
    config: TransformerConfig,
    params: Params,
    memory: Memory,
    token: jax.Array,
    features: Features | None = None,
) -> tuple[Memory, jax.Array]:
    """Reads one more byte of every text.

    Args:
      config: shape of the network.
      params: as `init` makes them.
      memory: of the bytes before.
      token: Int[batch].
      features: leading axis [batch], for the byte that comes next.

    Returns:
      memory, and logits of the next byte, Float32[batch, 256].
    """
    slot = memory.position % memory.keys[0].shape[2]
    positions = memory.position[None]
    written = Memory((), (), memory.position + 1)
    at = _slot_positions(memory._replace(position=written.position))
    visible = _visible(config, positions, at)

    def attend(layer: int, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        nonlocal written
        update = jax.lax.dynamic_update_slice_in_dim
        keys = update(memory.keys[layer], k, slot, axis=2)
        values = update(memory.values[layer], v, slot, axis=2)
        written = Memory((*written.keys, keys), (*written.values, values), written.position)
        return _attention(q, keys, values, visible)

    one_byte = None if features is None else jax.tree.map(lambda a: a[:, None], features)
    logits = _network(config, params, token[:, None], positions, one_byte, attend)
    return written, logits[:, 0]


def next_byte_loss(config: TransformerConfig) -> Loss:
    """Mean over a batch's bytes of -ln p(next byte), as every `Method` takes it.

    Returns:
      Loss on batches `(tokens, next_tokens)`, Int[batch, T] each, or
      `(tokens, next_tokens, memory, features)`, the last two as for `apply`.
    """

    def loss(key: Key, params: Params, batch: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        del key  # deterministic
        tokens, next_tokens, *context = batch
        logits = apply(config, params, tokens, *context)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, next_tokens)
        return losses.mean(), {}

    return loss


def _network(
    config: TransformerConfig,
    params: Params,
    tokens: jax.Array,
    positions: jax.Array,
    features: Features | None,
    attend: Any,
) -> jax.Array:
    """All layers; `attend` is what reads many bytes and what reads one differ in."""
    batch, length = tokens.shape
    head_shape = (batch, length, config.heads, config.width // config.heads)
    compute = jnp.dtype(config.compute)

    def dense(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.einsum("bti,io->bto", x.astype(compute), kernel.astype(compute))

    x = params["embedding"]["kernel"][tokens]
    if (features is None) != (config.contexts is None):
        raise ValueError("features go with a network that has contexts, and with no other")
    if features is not None and config.contexts is not None:
        learned = params[context_features.PARAMS]
        x = x + context_features.embedding(config.contexts, learned, features)
    for number in range(config.layers):
        block = params[f"block{number + 1}"]
        normal = _rms_norm(x, block["norm1"]["scale"])
        q, k, v = jnp.split(dense(normal, block["qkv"]["kernel"]), 3, axis=-1)
        q, k, v = (a.reshape(head_shape).swapaxes(1, 2) for a in (q, k, v))
        mixed = attend(number, _rotated(q, positions), _rotated(k, positions), v)
        mixed = mixed.swapaxes(1, 2).reshape(batch, length, config.width)
        x = x + dense(mixed, block["attention"]["kernel"]).astype(jnp.float32)
        normal = _rms_norm(x, block["norm2"]["scale"])
        hidden = jax.nn.gelu(dense(normal, block["expand"]["kernel"]))
        x = x + dense(hidden, block["contract"]["kernel"]).astype(jnp.float32)
    x = _rms_norm(x, params["norm"]["scale"])
    embedding = params["embedding"]["kernel"]
    kernel = embedding.T * config.width**-0.5 if config.tied else params["output"]["kernel"]
    logits = dense(x, kernel).astype(jnp.float32) + params["output"]["bias"][None, None]
    if features is not None and config.contexts is not None:
        learned = params[context_features.PARAMS]
        logits = logits + context_features.logits(config.contexts, learned, features, x)
    return logits


def _rms_norm(x: jax.Array, scale: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6) * scale[None, None]


def _rotated(x: jax.Array, positions: jax.Array) -> jax.Array:
    """Pairs of numbers turned by angles in proportion to the position.

    Whole turns in `PERIOD` bytes, in integers: no angle loses digits late in a long file.

    Args:
      x: Float[batch, heads, T, width / heads].
      positions: Int[T].
    """
    half = x.shape[-1] // 2
    turns = PERIOD / (2 * np.pi) * _SLOWEST ** (-np.arange(half) / half)
    turns = np.maximum(np.rint(turns), 1).astype(np.int32)
    steps = (positions % PERIOD)[:, None] * turns[None] % PERIOD
    angle = (steps.astype(jnp.float32) * (2 * np.pi / PERIOD))[None, None]
    first, second = x[..., :half].astype(jnp.float32), x[..., half:].astype(jnp.float32)
    turned = (
        first * jnp.cos(angle) - second * jnp.sin(angle),
        first * jnp.sin(angle) + second * jnp.cos(angle),
    )
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def _slot_positions(memory: Memory) -> jax.Array:
    """Int[slots]: which position each slot of the ring holds; negative where none yet."""
    slots = memory.keys[0].shape[2]
    last = memory.position - 1
    return last - (last - jnp.arange(slots, dtype=jnp.int32)) % slots


def _visible(config: TransformerConfig, queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Bool[queries, keys]: whether a byte lies within the window of another."""
    distance = queries[:, None] - keys[None]
    return (distance >= 0) & (distance < config.window) & (keys >= 0)[None]


def _attention(q: jax.Array, k: jax.Array, v: jax.Array, visible: jax.Array) -> jax.Array:
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k).astype(jnp.float32) * q.shape[-1] ** -0.5
    weights = jax.nn.softmax(jnp.where(visible[None, None], scores, -1e30), axis=-1)
    return jnp.einsum("bhqk,bhkd->bhqd", weights.astype(v.dtype), v)
