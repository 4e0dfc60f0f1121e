"""The rate-distortion experiments: certified gaps, known curves, files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.rate_distortion import rd_codes, rd_curves
from experiments.runner.folder import Data
from experiments.runner.run import run


@pytest.mark.nightly
def test_certified_gaps_and_known_curves(tmp_path):
    record = run(rd_curves.EXPERIMENT, "smoke", folder=tmp_path)
    gaps = [row.gap_bits for row in record.rows if not row.infeasible]
    assert max(gaps) <= 1e-6
    coin = [row for row in record.rows if row.source == "coin, p = 0.3, Hamming"]
    assert max(abs(row.rate_ub - row.exact) for row in coin) < 1e-6


@pytest.mark.slow
def test_a_file_of_another_length_or_distortion_is_no_proof(tmp_path):
    config, data = rd_codes.EXPERIMENT.presets["smoke"], Data(tmp_path)
    (row,) = rd_codes.measure(config, [("scalar", "trimodal", None)], data)
    assert rd_codes.recompute(config, row, data) == {"bits": row.bits}
    with pytest.raises(ValueError, match=r"decodes to float32 of \(4000,\)"):
        rd_codes.recompute(replace(config, length=100), row, data)
    with pytest.raises(ValueError, match="claimed at 0.1"):
        rd_codes.recompute(replace(config, level=0.1), row, data)
