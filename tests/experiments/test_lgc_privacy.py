from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.dataset_compression import lgc_privacy
from experiments.runner import experiment as ex
from experiments.runner.folder import Data
from fewbits.io.datasets import Images
from lgc.privacy import archive_attacks, shadow_archives


def _images(n_classes=3, side=8):
    rng = np.random.default_rng(0)
    n = 40
    coarse = rng.integers(0, 256, (n, side // 2, side // 2, 1)).astype(np.uint8)
    pixels = coarse.repeat(2, axis=1).repeat(2, axis=2)
    labels = np.arange(n, dtype=np.int32) % n_classes
    return Images(pixels, labels, tuple(map(str, range(n_classes))))


def test_a_pool_has_its_classes_in_order():
    pool = shadow_archives.make_pool(_images(), 8)
    assert pool.classes.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    for wrong in (3, 5, 100):
        with pytest.raises(ValueError, match=f"per_class is {wrong}"):
            shadow_archives.make_pool(_images(), wrong)


@pytest.mark.slow
def test_the_control_leaks_and_permuted_membership_does_not(tmp_path, monkeypatch):
    """A lossy subset holds its images: distances and every attack must give them away."""
    config = lgc_privacy.Config(
        control_per_class=12, shadows=4, targets=2, permutations=99, neighbours=8
    )
    data = Data(tmp_path)
    monkeypatch.setattr(data, "images", lambda name, split: _images())
    seen = []
    attacks = archive_attacks.attacks
    monkeypatch.setattr(archive_attacks, "attacks", lambda *a: seen.append(a) or attacks(*a))
    for row in lgc_privacy.measure(config, [(lgc_privacy.CONTROL,)], data).rows:
        if isinstance(row, lgc_privacy.Attack):
            assert row.auc > 0.97, row
            assert row.true_positive_percent > 50
        else:
            assert row.p_value == pytest.approx(0.01)
            assert row.closer_share > 0.95
    ((scores, _, _),) = seen
    rng = np.random.default_rng(0)
    inside = jnp.asarray(rng.permuted(np.tile([True, False], (36, 2)), axis=1).T)
    targets = jnp.asarray(rng.permuted(np.tile([True, False], (2, 18)), axis=1))
    for attack in attacks(scores, inside, targets):
        assert np.abs(attack.auc - 0.5).max() < 0.3


def test_roc_points_of_a_short_list():
    scores, members = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    found = archive_attacks.roc(scores, members)
    assert found["false_positive_rate"] == [0, 0.5]
    assert found["true_positive_rate"] == [0.5, 1.0]


def test_the_strongest_attack_on_mixtures_is_claimed_and_not_the_control():
    areas = {("ae", "raw"): 0.51, ("ae", "online"): 0.52, ("vae", "raw"): 0.5}
    areas[lgc_privacy.CONTROL, "raw"] = 0.99
    rows = [
        lgc_privacy.Attack(mode, "nearness", calibration, target, area + target / 100, 0.01, 0.2)
        for (mode, calibration), area in areas.items()
        for target in (0, 1)
    ]
    distances = (lgc_privacy.Distances(mode, target, 50, 12, (1.0,) * 7, 0, 0.5, 0.4)
                 for mode, _ in areas for target in (0, 1))  # fmt: skip
    record = ex.Record("paper", "paper", lgc_privacy.Config(), (*rows, *distances), {}, {})
    claimed = {
        row.claim: (row.mode, row.calibration) for row in lgc_privacy.derive(record) if row.claim
    }
    assert claimed == {
        "membership_auc": ("ae", "online"),
        "control_auc": (lgc_privacy.CONTROL, "raw"),
    }
    small = lgc_privacy.derive(dataclasses.replace(record, preset="small"))
    assert {row.claim for row in small} == {"", "membership_auc.50_images"}
