from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import loop
from fewbits.training.method import Method


class RecorderState(NamedTuple):
    counts: jax.Array
    last: jax.Array


class RecorderInfo(NamedTuple):
    loss_nats: jax.Array
    finite: jax.Array
    batch: jax.Array
    draw: jax.Array


def recorder(n: int) -> Method:
    """Counts how often each example is seen; data are the numbers 0..n-1. Infinite at example n."""

    def init(key, params, hyperparameters=None):
        del key, hyperparameters
        return RecorderState(jnp.zeros(n, jnp.int32), params)

    def step(key, state, batch):
        info = RecorderInfo(
            jnp.float32(state.counts.sum()),
            jnp.all(batch < n),
            batch,
            jax.random.uniform(key),
        )
        return RecorderState(state.counts.at[batch].add(1), jnp.float32(batch[0])), info

    return Method(init, step, lambda state: state.last)


@functools.cache
def compiled(plan: loop.Plan, n: int):
    return jax.jit(functools.partial(loop.run, recorder(n), plan))


def run(plan: loop.Plan, n: int, key: jax.Array) -> loop.Result:
    return compiled(plan, n)(key, jnp.float32(0), jnp.arange(n))


def test_an_epoch_is_a_permutation_and_the_next_one_another(key):
    """Of 13 examples in batches of 3, each epoch shows 12 once; every step draws its own number."""
    result = run(loop.Plan(steps=8, batch_size=3, log_points=8), 13, key)
    first, second = result.log.batch[:4].ravel(), result.log.batch[4:].ravel()
    assert len(set(first.tolist())) == len(set(second.tolist())) == 12
    np.testing.assert_array_equal(
        result.state.counts, np.bincount(np.concatenate([first, second]), minlength=13)
    )
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, np.sort(first))
    assert len(set(result.log.draw.tolist())) == 8


def test_replacement_draws_uniformly_and_repeats(key):
    plan = loop.Plan(steps=500, batch_size=8, sampling="replacement", log_points=500)
    result = run(plan, 8, key)
    counts = np.asarray(result.state.counts)
    assert counts.sum() == 4_000
    # Eight cells of expectation 500: the 99.99 % quantile of chi^2 with 7 degrees is 29.9.
    assert 0.5 < ((counts - 500) ** 2 / 500).sum() < 29.9
    assert any(len(set(batch.tolist())) < 8 for batch in result.log.batch)


def test_no_batch_size_is_everything_in_order(key):
    result = run(loop.Plan(steps=2, batch_size=None, log_points=2), 5, key)
    np.testing.assert_array_equal(result.log.batch, [np.arange(5)] * 2)


@pytest.mark.parametrize(
    ("steps", "log_points", "log_steps"),
    [
        (6, 3, [2, 4, 6]),
        (7, 3, [3, 6, 7]),
        (3, 10, [1, 2, 3]),
        (10, 4, [3, 6, 9, 10]),
        (9, 1, [9]),
    ],
)
def test_log_rows_are_the_last_steps_of_their_windows(key, steps, log_points, log_steps):
    plan = loop.Plan(steps=steps, batch_size=None, log_points=log_points)
    assert plan.log_steps.tolist() == log_steps
    log = run(plan, 4, key).log
    # The recorder's loss is the number of examples seen before the step.
    np.testing.assert_array_equal(log.loss_nats, [4 * (step - 1) for step in log_steps])


def test_finite_remembers_a_step_that_is_not_logged(key):
    def step(key, state, batch):
        info = RecorderInfo(jnp.float32(0), state != 2, batch, jnp.float32(0))
        return state + 1, info

    method = Method(lambda key, params, h=None: params, step, lambda state: jnp.float32(state))
    ends = {}
    for steps in (2, 5):
        plan = loop.Plan(steps=steps, batch_size=None, log_points=1)
        ends[steps] = loop.run(method, plan, key, jnp.int32(0), jnp.arange(3))
        assert ends[steps].log.finite.all()
    assert ends[2].finite
    assert not ends[5].finite


def test_finite_looks_at_the_final_parameters(key):
    method = recorder(4)._replace(finalize=lambda state: state.last / 0)
    plan = loop.Plan(steps=4, batch_size=None)
    assert not loop.run(method, plan, key, jnp.float32(0), jnp.arange(4)).finite


@pytest.mark.parametrize("sampling", ["epochs", "replacement"])
def test_cut_anywhere_the_bits_are_the_same(key, sampling):
    """Chunks that begin and end inside epochs, through one program, against one chunk."""
    n, plan = 10, loop.Plan(steps=23, batch_size=3, sampling=sampling, log_points=5)
    method, data, traces = recorder(n), jnp.arange(n), []

    @jax.jit
    def advance(carry, first, last):
        traces.append(None)
        return loop.advance(method, plan, carry, data, first, last)

    start = loop.start(method, plan, key, jnp.float32(0), data)
    whole = advance(start, 0, 23)
    carry = start
    for first, last in [(0, 1), (1, 7), (7, 7), (7, 9), (9, 22), (22, 23)]:
        carry = advance(carry, first, last)
    assert len(traces) == 1
    for a, b in zip(jax.tree.leaves(carry[1:]), jax.tree.leaves(whole[1:]), strict=True):
        np.testing.assert_array_equal(a, b)
    if sampling == "epochs":  # bounds known to the compiler, `run`, change nothing either
        np.testing.assert_array_equal(run(plan, n, key).log.batch, whole.log.batch)


def test_vmap_over_keys_is_one_run_per_key(key):
    plan = loop.Plan(steps=7, batch_size=2, log_points=7)
    keys = jax.random.split(key, 3)
    one_run = functools.partial(loop.run, recorder(5), plan)
    together = jax.jit(jax.vmap(one_run, in_axes=(0, None, None)))(keys, 0.0, jnp.arange(5))
    for index in range(3):
        alone = run(plan, 5, keys[index])
        np.testing.assert_array_equal(together.log.batch[index], alone.log.batch)
    assert not np.array_equal(together.log.batch[0], together.log.batch[1])


def test_batches_keep_the_tree_and_its_rows_together(key):
    """Inputs and labels are gathered by the same indices, whatever their shapes."""

    def step(key, state, batch):
        inputs, labels = batch["inputs"], batch["labels"]
        right = jnp.all(inputs[:, 0] == labels) & (inputs.shape == (2, 3))
        return state + right, RecorderInfo(jnp.float32(0), right, labels, jnp.float32(0))

    method = Method(lambda key, params, h=None: params, step, lambda state: jnp.float32(state))
    data = {"inputs": jnp.tile(jnp.arange(6)[:, None], (1, 3)), "labels": jnp.arange(6)}
    plan = loop.Plan(steps=5, batch_size=2, sampling="replacement")
    assert loop.run(method, plan, key, jnp.int32(0), data).params == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0, "batch_size": 1}, "steps.*0"),
        ({"steps": 1, "batch_size": 0}, "batch_size.*0"),
        ({"steps": 1, "batch_size": 1, "log_points": 0}, "log_points.*0"),
        ({"steps": 1, "batch_size": 1, "sampling": "shuffled"}, "'shuffled'"),
    ],
)
def test_plan_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        loop.Plan(**arguments)


def test_refuses_data_that_do_not_fit_the_plan(key):
    plan = loop.Plan(steps=1, batch_size=5)
    with pytest.raises(ValueError, match="batch_size 5 exceeds the 4 examples"):
        loop.run(recorder(4), plan, key, jnp.float32(0), jnp.arange(4))
    with pytest.raises(ValueError, match=r"\(4,\), \(3,\)"):
        loop.n_examples((jnp.arange(4), jnp.arange(3)))
