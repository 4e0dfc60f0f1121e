import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import trees
from pruning.procedures import thresholding


def removed_square(params, reference):
    """||reference||^2 - ||params||^2: rises with every weight that goes."""
    squares = [
        jnp.sum(jnp.square(a)) - jnp.sum(jnp.square(b))
        for a, b in zip(jax.tree.leaves(reference), jax.tree.leaves(params), strict=True)
    ]
    return 1.0 + jnp.stack(squares).sum()


@pytest.fixture
def params(key):
    return {"a": jax.random.normal(key, (20, 7)), "b": jnp.array([0.0, 0.5, -3.0])}


def best_by_hand(params, limit: float) -> int:
    """The least number of weights whose removal of all smaller ones keeps the limit."""
    squares = np.sort(np.asarray(trees.as_vector(params), np.float64) ** 2)
    values = 1 + np.concatenate([[0], np.cumsum(squares)])
    removed = int(np.flatnonzero(values <= limit).max())
    return int(np.count_nonzero(squares[removed:]))


@pytest.mark.parametrize("tolerance", [0.0, 0.01, 0.3, 3.0, 1e9])
@pytest.mark.parametrize(
    "search",
    [
        thresholding.by_magnitude,
        functools.partial(thresholding.by_rank, probes=1),
        functools.partial(thresholding.by_rank, probes=4),
    ],
    ids=["magnitude", "rank-1", "rank-4"],
)
def test_searches_find_the_last_tolerable_threshold(params, search, tolerance):
    objective = functools.partial(removed_square, reference=params)
    # Compiled like the search: at no tolerance the last bit decides.
    limit = thresholding.tolerated(jax.jit(objective)(params), tolerance)
    found = jax.jit(lambda p: search(objective, p, limit))(params)
    assert found.n_kept == best_by_hand(params, float(limit))
    assert found.within_limit
    assert found.value <= limit
    assert trees.nonzeros(thresholding.pruned(params, found.magnitude)) == found.n_kept
    assert np.isfinite(found.magnitude)


def test_parallel_probes_need_fewer_passes(params):
    objective = functools.partial(removed_square, reference=params)
    alone, together = (
        thresholding.by_rank(objective, params, jnp.float32(2.0), probes=probes)
        for probes in (1, 6)
    )
    assert alone.n_kept == together.n_kept
    assert together.n_probes / 6 < alone.n_probes


def test_a_limit_that_nothing_keeps_prunes_nothing(params):
    objective = functools.partial(removed_square, reference=params)
    for search in (thresholding.by_magnitude, thresholding.by_rank):
        found = search(objective, params, jnp.float32(0.5))
        assert found.n_kept == trees.nonzeros(params)
        assert not found.within_limit


def test_an_objective_that_is_not_finite_prunes_nothing(params):
    for search in (thresholding.by_magnitude, thresholding.by_rank):
        found = search(lambda p: jnp.float32(jnp.nan), params, jnp.float32(jnp.nan))
        assert found.n_kept == trees.nonzeros(params)
        assert not found.within_limit


def test_keeping_counts(params):
    for count in (0, 1, 17):
        assert trees.nonzeros(thresholding.keeping(params, count)) == count


@pytest.mark.slow
def test_runs_search_on_their_own(params):
    objective = functools.partial(removed_square, reference=params)
    limits = jnp.array([1.01, 2.0, 50.0])
    search = functools.partial(thresholding.by_rank, objective, params)
    together = jax.vmap(search)(limits)
    assert together.n_kept.tolist() == [int(search(limit).n_kept) for limit in limits]


def test_no_probe_is_refused(params):
    with pytest.raises(ValueError, match="got 0"):
        thresholding.by_rank(lambda p: jnp.float32(0), params, jnp.float32(0), probes=0)
