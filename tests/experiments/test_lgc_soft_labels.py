"""Files with a teacher: what is compared with a codec, and that each use can be measured alone."""

from __future__ import annotations

import pytest

from experiments.dataset_compression import lgc_soft_labels as soft
from experiments.runner.folder import Data


def test_the_codec_is_compared_with_the_better_labels():
    found = {"convnet.soft": 50.0, "convnet.with_teacher": 48.0, "convnet.best_codec": 35.0}
    assert soft._gain(found, "convnet.best_codec") == 15
    assert soft._gain(found, "convnet.soft") is None


@pytest.mark.parametrize("use", ["convnet.soft", "teacher_alone"])
def test_what_is_measured_alone_has_no_gain(use, monkeypatch, tmp_path):
    monkeypatch.setattr(soft, "_percent", lambda config, path, name, seed, data: 70.0)
    row = soft.Row("digits", 2, use, 0, 1, 70.0, tmp_path / "file")
    found = soft.recompute(soft.EXPERIMENT.presets["smoke"], row, Data(tmp_path))
    assert found == {"accuracy_percent": 70.0, "gain_points": None}
