"""The byte transformer: one byte at a time equals all at once, no byte sees a later one."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.training import trees
from fewbits.training.models import transformer
from fewbits.training.models.context_features import Contexts, Features
from fewbits.training.models.transformer import TransformerConfig

SMALL = TransformerConfig(width=16, layers=2, heads=2, window=5)
CONTEXTS = Contexts(count=3, candidates=2, states=4)
HINTED = dataclasses.replace(SMALL, contexts=CONTEXTS)
BATCH, LENGTH = 2, 13


def _tokens(seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(0, 256, (BATCH, LENGTH)), jnp.int32)


def _features() -> Features:
    random = np.random.default_rng(1)
    shape = (BATCH, LENGTH, CONTEXTS.count, CONTEXTS.candidates)
    candidates = random.integers(0, 256, shape).astype(np.uint8)
    return Features(candidates, random.integers(0, CONTEXTS.states, shape).astype(np.uint8))


def _params(config: TransformerConfig, key: jax.Array):
    """Random everywhere, so that nothing hides behind a zero."""
    params = transformer.init(config, key)
    noise = trees.as_vector(params)
    noise = noise + 0.1 * jax.random.normal(jax.random.key(9), noise.shape)
    return trees.from_vector(noise, params)


@pytest.fixture(scope="module")
def applied():
    return jax.jit(partial(transformer.apply, SMALL))


@pytest.mark.parametrize(
    "config",
    [
        *(pytest.param(config, marks=pytest.mark.slow) for config in (SMALL, HINTED)),
        dataclasses.replace(SMALL, tied=True),
    ],
)
def test_step_by_step_is_all_at_once(config: TransformerConfig, key: jax.Array):
    params, tokens = _params(config, key), _tokens()
    features = _features() if config.contexts else None
    expected = jax.jit(partial(transformer.apply, config))(params, tokens, None, features)
    step = jax.jit(partial(transformer.step, config))
    memory = transformer.empty_memory(config, BATCH)
    for t in range(LENGTH):
        now = None if features is None else jax.tree.map(lambda a, t=t: a[:, t], features)
        memory, logits = step(params, memory, tokens[:, t], now)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)


@pytest.mark.slow
def test_a_rewound_memory_gives_the_same_as_reading_on(key: jax.Array, applied):
    params, tokens, segment = _params(SMALL, key), _tokens(), 4
    memory = transformer.empty_memory(SMALL, BATCH, spare=segment)
    step = jax.jit(partial(transformer.step, SMALL))
    for t in range(LENGTH):
        memory, _ = step(params, memory, tokens[:, t])
    last = applied(params, tokens[:, -segment:], memory.rewound(segment))
    np.testing.assert_allclose(last, applied(params, tokens)[:, -segment:], atol=1e-4)


@settings(derandomize=True, max_examples=10, deadline=None)
@given(at=st.integers(0, LENGTH - 1), byte=st.integers(0, 255))
def test_causal_and_within_the_window(at: int, byte: int):
    params = _params(SMALL, jax.random.key(3))
    tokens = _tokens()
    changed = tokens.at[0, at].set(byte)
    first, second = _PLAIN(params, tokens), _PLAIN(params, changed)
    reach = 1 + SMALL.layers * (SMALL.window - 1)
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[0, :at], second[0, :at])
    np.testing.assert_allclose(first[0, at + reach :], second[0, at + reach :], atol=1e-6)


_PLAIN = jax.jit(partial(transformer.apply, SMALL))


@pytest.mark.slow
def test_positions_only_count_as_distances(key: jax.Array):
    params, tokens = _params(SMALL, key), _tokens()
    late = transformer.empty_memory(SMALL, BATCH)
    # Late in a file, where nothing is left in the window but what is read now.
    late = late._replace(position=jnp.asarray(3 * transformer.PERIOD + 77, jnp.int32))
    far = 3 * SMALL.window
    moved = transformer.apply(SMALL, params, tokens, late)[:, far:]
    zero_past = transformer.empty_memory(SMALL, BATCH)
    zero_past = zero_past._replace(position=jnp.asarray(SMALL.window, jnp.int32))
    expected = transformer.apply(SMALL, params, tokens, zero_past)[:, far:]
    np.testing.assert_allclose(moved, expected, atol=1e-4)


@pytest.mark.parametrize("config", [SMALL, HINTED])
def test_every_weight_learns(config: TransformerConfig, key: jax.Array):
    params, tokens = _params(config, key), _tokens()
    loss = transformer.next_byte_loss(config)
    batch = (tokens[:, :-1], tokens[:, 1:])
    if config.contexts:
        batch = (*batch, None, jax.tree.map(lambda a: a[:, :-1], _features()))
    (nats, _), gradient = jax.jit(jax.value_and_grad(loss, argnums=1, has_aux=True))(
        key, params, batch
    )
    assert np.isfinite(nats)
    for name, leaf in trees.named_leaves(gradient).items():
        assert np.abs(leaf).max() > 0, name


def test_sizes_are_the_published_ones():
    expected = {"t1": 0.2e6, "t4": 4.1e6, "t25": 25e6}
    for name, config in transformer.SIZES.items():
        shapes = jax.eval_shape(partial(transformer.init, config), jax.random.key(0))
        assert trees.size(shapes) == pytest.approx(expected[name], rel=0.2)


def test_half_precision_computes_alike(key: jax.Array):
    half = dataclasses.replace(SMALL, compute="bfloat16")
    params, tokens = transformer.init(SMALL, key), _tokens()
    first, second = (
        _PLAIN(params, tokens),
        jax.jit(partial(transformer.apply, half))(params, tokens),
    )
    assert second.dtype == jnp.float32
    np.testing.assert_allclose(first, second, atol=0.1)


@pytest.mark.parametrize(
    "wrong", [{"width": 15}, {"heads": 3}, {"layers": 0}, {"window": 0}, {"compute": "float8"}]
)
def test_impossible_shapes_are_named(wrong: dict):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        dataclasses.replace(SMALL, **wrong)


def test_features_and_contexts_go_together(key: jax.Array):
    params = transformer.init(SMALL, key)
    with pytest.raises(ValueError, match="features"):
        transformer.apply(SMALL, params, _tokens(), None, _features())
