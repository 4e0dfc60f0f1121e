"""The text experiment: its trials, its smoke preset."""

from __future__ import annotations

import pytest

from experiments.runner.run import run
from experiments.text import text_description_length as experiment
from experiments.text import text_files

PRESETS = experiment.EXPERIMENT.presets


def test_every_trial_is_a_file_of_its_own():
    for config in PRESETS.values():
        trials = experiment.grid(config)
        assert len(set(trials)) == len(trials)
        for trial in trials:
            if trial.mode != "general":
                assert text_files.model(config, trial).window > 0
    modes = [(trial.mode, trial.bytes) for trial in experiment.grid(PRESETS["cpu"])]
    assert modes.count(("offline", 4_000_000)) == 4
    assert modes.count(("online", 4_000_000)) == modes.count(("online", 1_000_000)) == 5
    assert modes.count(("offline", 1_000_000)) == 1 + 3 * 2 + 2


@pytest.mark.nightly
@pytest.mark.slow
def test_smoke_preset(tmp_path):
    record = run(experiment.EXPERIMENT, "smoke", folder=tmp_path)
    rows = record.of(experiment.Row)
    assert [row.trial for row in rows if row.model_bytes is not None] == [
        trial for trial in experiment.grid(PRESETS["smoke"]) if trial.mode != "general"
    ]
    for row in rows:
        if row.mode == "offline":
            assert row.file_bytes == row.model_bytes + row.data_bytes < row.formula_bytes
        elif row.mode == "online" and not row.trial.width:
            # Without contexts, so small a network learns little of so short a text.
            assert row.bits_per_byte < 5
