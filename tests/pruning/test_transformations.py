"""Penalties as optax transformations: formulas, pytrees of any kind, sweeps without a retrace."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pruning
from pruning.penalties import drr, relaxed_lasso

PARAMS = {
    "kernel": jnp.array([[1.0, -0.02], [0.3, 0.0]]),
    "scale": jnp.array([0.5, 0.5]),
    "half": jnp.array([0.25, -2.0], jnp.bfloat16),
    "nothing": None,
    "steps": jnp.array(7),
}
GRADIENT = {
    "kernel": jnp.ones((2, 2)),
    "scale": jnp.ones(2),
    "half": jnp.ones(2, jnp.bfloat16),
    "nothing": None,
    "steps": None,
}
PENALTIES = {
    "drr": (functools.partial(pruning.drr, 0.3), drr, drr.Hyperparameters(strength=0.3)),
    "rl1": (
        functools.partial(pruning.relaxed_lasso, 0.3),
        relaxed_lasso,
        relaxed_lasso.Hyperparameters(strength=0.3),
    ),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_adds_its_gradient(name):
    make, module, hyperparameters = PENALTIES[name]
    penalty = make()
    updates, _ = penalty.update(GRADIENT, penalty.init(PARAMS), PARAMS)
    theta = PARAMS["kernel"] + 1e-3  # away from the kink
    slope = jax.grad(lambda x: jnp.sum(module.value(hyperparameters, x)))(theta)
    found, _ = penalty.update({"w": jnp.ones((2, 2))}, penalty.init(None), {"w": theta})
    np.testing.assert_allclose(found["w"], 1 + slope, rtol=1e-6)
    assert updates["steps"] is None
    assert updates["nothing"] is None
    assert updates["half"].dtype == jnp.bfloat16
    assert jax.tree.structure(updates) == jax.tree.structure(GRADIENT)


@pytest.mark.parametrize(
    "mask",
    [
        {"kernel": True, "scale": False, "half": False, "nothing": None, "steps": False},
        lambda params: jax.tree.map(lambda leaf: jnp.ndim(leaf) > 1, params),
    ],
    ids=["tree", "function"],
)
def test_a_mask_exempts_leaves(mask):
    penalty = pruning.drr(0.3, mask=mask)
    updates, _ = penalty.update(GRADIENT, penalty.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["scale"], GRADIENT["scale"])
    assert jnp.any(updates["kernel"] != GRADIENT["kernel"])
    prefix = pruning.drr(0.3, mask={"a": True, "b": False})
    tree = {"a": {"w": jnp.ones(2)}, "b": [jnp.ones(2), jnp.ones(1)]}
    zeros = jax.tree.map(jnp.zeros_like, tree)
    updates, _ = prefix.update(zeros, prefix.init(tree), tree)
    assert jnp.all(updates["a"]["w"] > 0)
    assert not any(jnp.any(leaf) for leaf in updates["b"])


def test_params_are_asked_for():
    for transformation in (pruning.drr(0.1), pruning.gradual_magnitude(0.5)):
        state = transformation.init({"w": jnp.ones(2)})
        with pytest.raises(ValueError, match="params"):
            transformation.update({"w": jnp.ones(2)}, state)
    with pytest.raises(TypeError, match=r"pruning\.drr"):
        pruning.proximal(optax.sgd(0.1), optax.sgd(0.1), 0.1)


def test_strengths_are_vmapped_in_one_trace():
    traces = 0

    @jax.jit
    @jax.vmap
    def run(strength):
        nonlocal traces
        traces += 1
        optimizer = optax.chain(pruning.drr(strength), optax.adam(0.01))
        params = {"w": jnp.array([1.0, 0.05])}

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(params, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, 5)[0][0]["w"]

    found = run(jnp.array([0.0, 0.1, 10.0]))
    again = run(jnp.array([0.2, 0.1, 0.0]))
    assert traces == 1
    np.testing.assert_allclose(found[1], again[1])
    assert not np.allclose(found[0], found[2])


def test_a_strength_may_be_a_schedule_or_in_the_state():
    params, zeros = {"w": jnp.array([1.0])}, {"w": jnp.zeros(1)}
    scheduled = pruning.relaxed_lasso(optax.linear_schedule(0.0, 1.0, 2))
    state, found = scheduled.init(params), []
    for _ in range(3):
        updates, state = scheduled.update(zeros, state, params)
        found.append(float(updates["w"][0]))
    assert found == [0.0, 0.5, 1.0]
    injected = optax.inject_hyperparams(pruning.relaxed_lasso)(strength=0.5)
    state = injected.init(params)
    state.hyperparams["strength"] = jnp.float32(2.0)
    assert injected.update(zeros, state, params)[0]["w"] == 2.0


def test_a_proximal_step_is_the_best_of_a_grid_at_the_scheduled_rate():
    schedule = optax.linear_schedule(0.4, 0.0, 2)
    optimizer = pruning.proximal(optax.sgd(schedule), pruning.drr(0.7), schedule)
    params, gradient = {"w": jnp.array([1.0, 0.3, -0.2, 0.05])}, {"w": jnp.full(4, 0.1)}
    state = optimizer.init(params)
    grid = jnp.concatenate([jnp.zeros(1), jnp.linspace(-2, 2, 40001)])[None, :]
    for rate in (0.4, 0.2):
        v = (params["w"] - rate * gradient["w"])[:, None]
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        objective = 0.5 * (grid - v) ** 2 + rate * 0.7 * (1 - jnp.exp(-5 * jnp.abs(grid)))
        best = grid[0, jnp.argmin(objective, axis=1)]
        np.testing.assert_allclose(params["w"], best, atol=2e-4)
    assert jnp.any(params["w"] == 0)


def test_at_rate_zero_a_proximal_step_changes_nothing():
    schedule = optax.linear_schedule(0.1, 0.0, 1)
    optimizer = pruning.proximal(optax.adam(schedule), pruning.relaxed_lasso(1.0), schedule)
    params = {"w": jnp.array([1.0, 0.2])}
    state = optimizer.init(params)
    for _ in range(20):
        updates, state = optimizer.update({"w": jnp.zeros(2)}, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params["w"], [0.9, 0.1], rtol=1e-6)


def test_a_rate_that_is_not_the_optimisers_is_refused():
    schedule = optax.cosine_decay_schedule(0.1, 10)
    optimizer = pruning.proximal(optax.sgd(schedule), pruning.relaxed_lasso(1.0), 0.1)
    with pytest.raises(ValueError, match="schedule"):
        optimizer.init({"w": jnp.ones(2)})

    def falling(rate):
        return optax.chain(optax.adam(rate), optax.scale_by_schedule(schedule))

    method = relaxed_lasso.build(relaxed_lasso.Rl1Config(update="proximal"), None, falling)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="schedule"):
        method.init(jax.random.key(0), {"w": jnp.ones(2)})


def test_magnitude_pruning_passes_other_leaves_through():
    schedule = optax.polynomial_schedule(0.0, 0.75, 3, 48)
    params = {name: PARAMS[name] for name in ("kernel", "scale", "nothing", "steps")}
    pruner = pruning.gradual_magnitude(
        schedule, mask={"kernel": True, "scale": False, "nothing": None, "steps": True}
    )
    state = pruner.init(params)
    zeros = {
        "kernel": jnp.zeros((2, 2)), "scale": jnp.ones(2), "nothing": None, "steps": None
    }  # fmt: skip
    kernel = params["kernel"]
    for _ in range(96):
        updates, state = pruner.update(zeros, state, params)
        kernel = kernel + updates["kernel"]
        params = dict(params, kernel=kernel)
    assert kernel.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    np.testing.assert_array_equal(updates["scale"], 1)
    assert updates["steps"] is None


def test_a_share_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match=r"1\.5"):
        pruning.gradual_magnitude(1.5).init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="mask"):
        pruning.gradual_magnitude(0.5, mask=False).init({"w": jnp.ones(2)})


def test_pmmp_as_optax_moves_as_the_method_does():
    """The published gradients, and the same trajectory as `pruning.pmmp`."""
    target = jnp.array([1.0, 0.05, -0.4, 0.0])

    def loss(params):
        return jnp.sum(jnp.square(params - target))

    method = pruning.pmmp(
        lambda key, params, batch: (loss(params), {}), strength=0.1, learning_rate=0.02
    )
    state, step = method.init(jax.random.key(0), target), jax.jit(method.step)
    optimizer = pruning.pmmp_optimizer(optax.adam(0.02))
    variables = pruning.pmmp_variables(target)
    moments = optimizer.init(variables)
    gradient = jax.grad(pruning.pmmp_loss(loss, 0.1))

    @jax.jit
    def by_optax(variables, moments):
        updates, moments = optimizer.update(gradient(variables), moments, variables)
        return optax.apply_updates(variables, updates), moments

    for number in range(120):
        state, _ = step(jax.random.key(number), state, jnp.zeros((1, 1)))
        variables, moments = by_optax(variables, moments)
    for ours, theirs in zip(variables, state.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(pruning.pmmp_params(variables), method.finalize(state), atol=1e-6)
    assert (pruning.pmmp_params(variables) != 0).tolist() == [True, False, True, False]


def test_pmmp_gradients_are_the_published_ones():
    theta, w, gate, u = jax.random.uniform(jax.random.key(3), (4, 6))
    variables = pruning.pmmp_variables(theta)._replace(weights=w, gates=gate, multipliers=u)
    found = jax.grad(pruning.pmmp_loss(lambda params: 0.0 * params.sum(), 0.3))(variables)
    d = theta - w * gate
    np.testing.assert_allclose(found.network, 2 * u * d, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        found.weights, -2 * u * d * gate + 2 * u * w * gate * (1 - gate), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        found.gates, -2 * u * d * w + u * w**2 * (1 - 2 * gate) + 0.3, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        found.multipliers, d**2 + w**2 * gate * (1 - gate), rtol=1e-4, atol=1e-6
    )


def test_pmmp_maps_over_penalty_weights_with_one_trace():
    traces = []

    def final(strength):
        traces.append(strength)
        optimizer = pruning.pmmp_optimizer(optax.adam(0.02))
        variables = pruning.pmmp_variables(jnp.array([1.0, 0.2]))
        gradient = jax.grad(pruning.pmmp_loss(lambda p: jnp.sum((p - 1.0) ** 2), strength))

        def step(carry, _):
            updates, moments = optimizer.update(gradient(carry[0]), carry[1], carry[0])
            return (optax.apply_updates(carry[0], updates), moments), None

        start = (variables, optimizer.init(variables))
        return jax.lax.scan(step, start, None, length=50)[0][0].gates

    gates = jax.jit(jax.vmap(final))(jnp.array([0.0, 0.1, 10.0]))
    assert len(traces) == 1
    assert bool((gates >= 0).all() & (gates <= 1).all())
