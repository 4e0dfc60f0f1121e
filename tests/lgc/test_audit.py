"""Auditing archives: pools, attacks on a control that leaks, points of a ROC curve."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import lgc
from fewbits.io.datasets import Images
from lgc import privacy
from lgc.privacy import archive_attacks


def _images(n_classes=3, side=8):
    rng = np.random.default_rng(0)
    n = 40
    coarse = rng.integers(0, 256, (n, side // 2, side // 2, 1)).astype(np.uint8)
    pixels = coarse.repeat(2, axis=1).repeat(2, axis=2)
    labels = np.arange(n, dtype=np.int32) % n_classes
    return Images(pixels, labels, tuple(map(str, range(n_classes))))


def test_a_pool_has_its_classes_in_order():
    pool = privacy.make_pool(_images(), 8)
    assert pool.classes.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    for wrong in (3, 5, 100):
        with pytest.raises(ValueError, match=f"per_class is {wrong}"):
            privacy.make_pool(_images(), wrong)


@pytest.mark.slow
def test_the_control_leaks_and_permuted_membership_does_not(monkeypatch):
    """A lossy subset holds its images: distances and every attack must give them away."""
    seen = []
    attacks = archive_attacks.attacks
    monkeypatch.setattr(archive_attacks, "attacks", lambda *a: seen.append(a) or attacks(*a))
    config = privacy.AuditConfig(shadows=4, targets=2, permutations=99, neighbours=8)
    found = privacy.audit(privacy.make_pool(_images(), 12), None, config)
    assert found.members.sum(axis=1).tolist() == [18, 18]
    for attack in found.attacks:
        assert attack.auc.min() > 0.97, attack
        assert attack.true_positive_percent.min() > 50
    for distances in found.distances:
        assert distances.p_value == pytest.approx(0.01)
        assert distances.closer_share > 0.95
    ((scores, _, _),) = seen
    rng = np.random.default_rng(0)
    inside = jnp.asarray(rng.permuted(np.tile([True, False], (36, 2)), axis=1).T)
    targets = jnp.asarray(rng.permuted(np.tile([True, False], (2, 18)), axis=1))
    for attack in attacks(scores, inside, targets):
        assert np.abs(attack.auc - 0.5).max() < 0.3


def test_an_audit_needs_archives_of_one_shape():
    with pytest.raises(ValueError, match="number of components"):
        privacy.audit(privacy.make_pool(_images(), 8), lgc.Config())


def test_roc_points_of_a_short_list():
    scores, members = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    found = archive_attacks.roc(scores, members)
    assert found["false_positive_rate"] == [0, 0.5]
    assert found["true_positive_rate"] == [0.5, 1.0]
