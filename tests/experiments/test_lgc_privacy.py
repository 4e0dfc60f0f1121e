"""Which attacks are claimed."""

from __future__ import annotations

import dataclasses

from experiments.dataset_compression import lgc_privacy
from experiments.runner import experiment as ex


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
