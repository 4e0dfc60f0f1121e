"""`pruning.prune` on networks that the package has never seen: states, masks, goals, warnings."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import pruning
from fewbits.coding import params_from_bytes
from pruning.search import operating_points as points
from pruning.search.operating_points import Settings
from pruning.search.selection import Candidate, Limit, Point

QUICK: dict[str, Any] = {
    "steps": 300, "batch_size": 100, "learning_rate": 5e-3, "bits": (6,), "baseline": False,
}  # fmt: skip


class Network(nn.Module):
    """Layers and names of its own, and statistics."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(16)(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        return nn.Dense(3)(nn.tanh(x))


@functools.cache
def data() -> Any:
    """Which of three inputs is largest; five more mean nothing."""
    x = np.random.default_rng(0).normal(size=(700, 8)).astype(np.float32)
    y = x[:, :3].argmax(axis=1).astype(np.int32)
    return (x[:500], y[:500]), (x[500:], y[500:])


def linear() -> Any:
    return {"w": jnp.zeros((8, 3)), "b": jnp.zeros(3), "unused": None, "count": jnp.array(4)}


def apply(params, x):
    return x @ params["w"] + params["b"][None] * (params["count"] > 0)


def accuracy(logits, labels) -> float:
    return float(np.mean(np.argmax(logits, axis=-1) == labels))


@pytest.mark.slow
def test_an_untrained_network_is_trained_pruned_and_written():
    train, held = data()
    pruned = pruning.prune(apply, linear(), train, held, trials=2, **QUICK)
    assert not jnp.any(pruned.params["w"][3:])
    assert pruned.params["unused"] is None
    assert pruned.params["count"] == 4
    assert accuracy(apply(pruned.params, held[0]), held[1]) > 0.9
    decoded = params_from_bytes(pruned.file)
    np.testing.assert_array_equal(decoded["w"], pruned.params["w"])
    assert decoded["count"] == 4
    assert decoded["unused"] is None
    sizes = [point.size_bytes for point in pruned.points]
    front = [point.error_percent for point in pruned.points if point.file != pruned.file]
    assert sizes == sorted(sizes)
    assert front == sorted(front, reverse=True)
    assert len(pruned.file) in sizes


@pytest.mark.slow
def test_a_linen_network_with_statistics():
    train, held = data()
    model = Network()
    variables = model.init(jax.random.key(0), train[0][:1])

    def with_state(params, state, x):
        return model.apply({"params": params, "batch_stats": state}, x)

    pruned = pruning.prune(
        with_state,
        variables["params"],
        train,
        held,
        state=variables["batch_stats"],
        strengths=(1e-3,),
        mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
        **QUICK,
    )
    decoded = params_from_bytes(
        pruned.file, like={"params": variables["params"], "state": variables["batch_stats"]}
    )
    assert accuracy(with_state(decoded["params"], decoded["state"], held[0]), held[1]) > 0.85
    assert not np.all(pruned.params["Dense_0"]["kernel"])
    assert np.all(pruned.params["BatchNorm_0"]["scale"])


@pytest.mark.slow
def test_an_nnx_network():
    train, held = data()
    graph, state = nnx.split(nnx.Linear(8, 3, rngs=nnx.Rngs(0)))

    def of_state(state, x):
        return nnx.merge(graph, state)(x)

    pruned = pruning.prune(of_state, state, train, held, strengths=(1e-3,), **QUICK)
    back = params_from_bytes(pruned.file, like=state)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    assert accuracy(of_state(back, held[0]), held[1]) > 0.9


@pytest.mark.slow
def test_goals_select_and_unreachable_ones_are_said_to_be():
    train, held = data()
    run = functools.partial(
        pruning.prune, apply, linear(), train, held, strengths=(1e-3, 1e-2), **QUICK
    )
    with pytest.raises(ValueError, match="no file of this network has at most 5 bytes: with every"):
        run(budget_bytes=5)
    with pytest.warns(UserWarning, match="no file within 109 bytes"):
        smallest = run(budget_bytes=109)
    assert len(smallest.file) == min(point.size_bytes for point in smallest.points)
    largest = run(budget_bytes=10_000)
    assert len(largest.file) == max(point.size_bytes for point in largest.points)


@pytest.mark.parametrize(
    ("nonzeros", "message"), [(990, "nearly nothing was pruned"), (0, "everything was pruned")]
)
def test_a_penalty_that_did_nothing_or_too_much_is_said_to(nonzeros, message):
    said = points.remarks(Point(1e-3, 6, nonzeros, 100, 1.0), Limit(1.0, np.inf), 1000, 1000, None)
    assert [message in line for line in said] == [True]


def test_a_dense_network_that_is_as_good_is_said_to_be():
    pruned, dense = Point(1e-3, 6, 50, 100, 1.0), Point(0.0, 4, 90, 99, 1.0)
    limit = Limit(1.0, np.inf)
    assert "dense network of 99 bytes" in points.remarks(pruned, limit, 1000, 1000, dense)[0]
    assert not points.remarks(pruned, limit, 1000, 1000, dense._replace(error_percent=1.1))


def test_a_penalty_that_could_not_act_is_said_to():
    settings = Settings()
    assert "could not act" in points.idle_penalty({0.0: 990, 1e6: 985}, 1000, settings)[0]
    assert not points.idle_penalty({0.0: 990, 1e6: 9}, 1000, settings)
    assert not points.idle_penalty({1e-4: 4, 4e-4: 4}, 1000, settings)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_loss": 1.0, "ratio": 10.0}, "one of max_loss"),
        ({"ratio": 0.5}, "ratio 0.5"),
        ({"method": "guess"}, "'guess'"),
        (
            {"method": "pmmp", "mask": {"w": True, "b": False, "unused": None, "count": True}},
            "pmmp",
        ),
        ({"mask": False}, "nothing to prune"),
        ({"tolerance": float("nan")}, "tolerance nan"),
    ],
)
def test_arguments_that_do_not_fit(changed, message):
    train, held = data()
    with pytest.raises(ValueError, match=message):
        pruning.prune(apply, linear(), train, held, **{**QUICK, **changed})


def test_data_that_does_not_fit():
    train, held = data()
    for broken in ((train[0], train[1][:-1]), (train[0], train[1] + 1), (train[0], train[0])):
        with pytest.raises(ValueError, match="labels"):
            pruning.prune(apply, linear(), broken, held, **QUICK)


def search(limit: Limit, size_of, error_of, held_out: bool = True) -> list[float]:
    """The penalty weights that a search tries on files of known sizes and errors."""
    tried: dict[float, list[Candidate]] = {}
    for strength in points.strengths(Settings(trials=9), tried, limit, held_out):
        point = Point(strength, 6, 1, size_of(strength), error_of(strength))
        tried[strength] = [Candidate(point, None, None)]
    return list(tried)


@pytest.mark.parametrize("edge", [1e-6, 1e-3, 1e-1])
def test_a_search_closes_in_on_the_goal(edge):
    """Errors rise and sizes fall with the penalty weight; the goal is met up to `edge`."""

    def size(strength: float) -> int:
        return int(1e3 / strength)

    tried = search(Limit(1.0, np.inf), size, lambda s: s / edge)
    best = max(s for s in tried if s <= edge)
    assert edge / best < 4
    tried = search(Limit(np.inf, size(edge)), size, lambda s: s)
    best = min(s for s in tried if size(s) <= size(edge))
    assert best / edge < 4


def test_without_validation_data_penalty_weights_stay_below_the_default():
    tried = search(Limit(1.0, np.inf), lambda s: 1, lambda s: 0.0, held_out=False)
    np.testing.assert_allclose(tried, [6e-5, 3e-5, 1.5e-5])


def test_an_unknown_setting_is_named():
    with pytest.raises(TypeError, match="no argument 'bytes'; goals are max_loss, budget_bytes"):
        pruning.prune(lambda params, x: x, {}, (0, 0), (0, 0), bytes=600)
