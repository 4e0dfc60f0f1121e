from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from lgc.privacy import membership

_auc = jax.jit(membership.auc)
_calibrate = jax.jit(membership.calibrate, static_argnames="pooled")
_rate = jax.jit(membership.true_positive_rate)


def _scores(n=300, ties=True):
    rng = np.random.default_rng(0)
    members = rng.random(n) < 0.4
    scores = rng.normal(size=n) + 0.7 * members
    return np.round(scores, 1) if ties else scores, members


@pytest.mark.parametrize("ties", [True, False])
def test_auc_is_the_share_of_pairs_in_order(ties):
    scores, members = _scores(ties=ties)
    pairs = scores[members][:, None] - scores[~members][None]
    brute = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    found = _auc(jnp.asarray(scores), jnp.asarray(members)).value
    assert found == pytest.approx(brute, abs=1e-6)
    assert found == pytest.approx(roc_auc_score(members, scores), abs=1e-6)


def test_known_aucs():
    members = jnp.array([True, True, False, False])
    for scores, value in (([3, 4, 1, 2], 1.0), ([1, 2, 3, 4], 0.0), ([1, 1, 1, 1], 0.5)):
        assert _auc(jnp.array(scores, jnp.float32), members).value == value
    assert _auc(jnp.array([1.0, 3.0, 2.0, 0.0]), members).value == 0.75


def test_the_error_of_an_auc_is_its_spread_over_samples():
    rng = np.random.default_rng(3)
    members = jnp.arange(200) < 80
    scores = rng.normal(size=(1_000, 200)) + 0.8 * np.asarray(members)
    found = jax.jit(jax.vmap(membership.auc, in_axes=(0, None)))(
        jnp.asarray(scores, jnp.float32), members
    )
    assert np.mean(found.standard_error) == pytest.approx(float(np.std(found.value)), rel=0.08)
    assert np.mean(found.value) == pytest.approx(norm.cdf(0.8 / np.sqrt(2)), abs=0.005)


def test_true_positive_rates_of_a_short_list():
    scores = jnp.array([9.0, 8, 7, 6, 5, 4, 3, 2])
    members = jnp.array([True, False, True, True, False, True, False, False])
    rates = [_rate(scores, members, f) for f in (0.0, 0.25, 0.5, 1.0)]
    np.testing.assert_allclose(rates, [0.25, 0.75, 1.0, 1.0])


def test_ties_with_a_non_member_do_not_count():
    members = jnp.array([True, True, False, False])
    assert _rate(jnp.ones(4), members, 0.4) == 0


def test_halves_are_even_in_every_way():
    count = 6
    classes = jnp.asarray(np.random.default_rng(0).permutation(np.arange(60) % 3))
    halves = membership.random_halves(jax.random.key(0), classes, count)
    assert (halves.sum(axis=0) == count // 2).all()
    for number in range(3):
        assert (halves[:, classes == number].sum(axis=1) == 10).all()
    assert not (halves[0] == halves[1]).all()
    with pytest.raises(ValueError, match="3 sets do not make pairs"):
        membership.random_halves(jax.random.key(0), classes, 3)


def _gaussian_world(shadows=16, n=3_000, shift=1.0, spread=1.0):
    """Scores difficulty_i + shift [member] + spread noise, with difficulties that vary a lot."""
    rng = np.random.default_rng(4)
    difficulty = 5 * rng.normal(size=n)
    inside = rng.permuted(np.tile([[True], [False]], (shadows // 2, n)), axis=0)
    observed = difficulty + shift * inside + spread * rng.normal(size=(shadows, n))
    members = rng.permutation(n) < n // 2
    target = difficulty + shift * members + spread * rng.normal(size=n)
    return tuple(map(jnp.asarray, (target, members, observed, inside)))


def test_calibration_recovers_the_gaussians():
    _, _, observed, inside = _gaussian_world(64, n=300, spread=0.5)
    for pooled, tolerance in ((True, 0.02), (False, 0.3)):
        found = _calibrate(observed, inside, pooled=pooled)
        gap = found.inside_mean - found.outside_mean
        assert np.mean(gap) == pytest.approx(1.0, abs=0.03)
        np.testing.assert_allclose(found.inside_deviation, 0.5, atol=tolerance)
        np.testing.assert_allclose(found.outside_deviation, 0.5, atol=tolerance)


def test_the_likelihood_ratio_is_the_formula():
    shadows = membership.Calibration(*(jnp.array([v]) for v in (2.0, 0.0, 0.5, 1.0)))
    target = jnp.array([1.5])
    expected = norm.logpdf(1.5, 2.0, 0.5) - norm.logpdf(1.5, 0.0, 1.0)
    np.testing.assert_allclose(membership.lira_online(target, shadows), expected, rtol=1e-6)
    np.testing.assert_allclose(membership.lira_offline(target, shadows), 1.5, rtol=1e-6)


def test_attacks_reach_the_analytic_auc():
    """With difficulties known exactly the AUC would be Phi(shift / sqrt 2)."""
    target, members, observed, inside = _gaussian_world()
    shadows = _calibrate(observed, inside)
    raw = float(_auc(target, members).value)
    # Offline: the noise of the target and that of a mean of 8 shadows.
    found = float(_auc(membership.lira_offline(target, shadows), members).value)
    assert found == pytest.approx(norm.cdf(1 / np.sqrt(2 * (1 + 1 / 8))), abs=0.02)
    assert found > raw + 0.1
    # Online: the target's distance from the middle times a gap of mean 1 and variance 1 / 4,
    # both of 8 shadows on each side; drawn here without any of the code above.
    rng = np.random.default_rng(5)
    inner, outer = 1 + rng.normal(size=10**5) / 8**0.5, rng.normal(size=10**5) / 8**0.5
    ratio = [(m + rng.normal(size=10**5) - (inner + outer) / 2) * (inner - outer) for m in (0, 1)]
    expected = np.mean(rng.permutation(ratio[1]) > ratio[0])
    found = float(_auc(membership.lira_online(target, shadows), members).value)
    assert found == pytest.approx(expected, abs=0.02)


def test_permuted_membership_gives_a_half():
    target, members, observed, inside = _gaussian_world()
    shadows = _calibrate(observed, inside)
    permuted = jnp.asarray(np.random.default_rng(9).permutation(members))
    for attack in (membership.lira_online, membership.lira_offline):
        found = _auc(attack(target, shadows), permuted)
        assert abs(float(found.value) - 0.5) < 4 * found.standard_error
        assert _rate(attack(target, shadows), permuted, 0.01) < 0.03
