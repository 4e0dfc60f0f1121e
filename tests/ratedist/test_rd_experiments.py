"""The rate-distortion experiments on their smoke presets: records, tables, figures, files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.rate_distortion import rd_codes
from experiments.rate_distortion.rd_codes_files import letters
from experiments.runner import plots, records, registry
from experiments.runner.run import run
from ratedist import sources

pytestmark = pytest.mark.slow

NAMES = ("rd_fidelity", "rd_annealing", "rd_codebook", "rd_codes", "rd_patches")


def smoke(name, folder):
    command = f"python -m experiments {name} smoke"
    started = records.start_run(name, "smoke", command, out=str(folder), data_dir=None)
    module = registry.get(name)
    module.run(module.PRESETS["smoke"][1], started)
    return started, module


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name, tmp_path):
    started, module = smoke(name, tmp_path)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    # What a paper run publishes has the same fields.
    made = module.tables({"paper": record})
    assert made
    for table in made:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}
    figures = module.figures({"paper": record})
    assert figures
    for title, figure in figures.items():
        plots.save(figure, tmp_path / f"{title}.png", "digest")
    assert module.tables({}) == []
    assert module.figures({}) == {}
    assert started.folder == tmp_path


def test_certified_gaps_and_known_curves(tmp_path):
    experiment = registry.get("rd_curves").EXPERIMENT
    record = run(experiment, "smoke", folder=tmp_path)
    gaps = [row.gap_bits for row in record.rows if not row.infeasible]
    assert max(gaps) <= 1e-6
    coin = [row for row in record.rows if row.source == "coin, p = 0.3, Hamming"]
    assert max(abs(row.rate_ub - row.exact) for row in coin) < 1e-6
    figures = experiment.figures({"paper": record})
    plots.save(figures["curves"], tmp_path / "curves.png", "digest")


def test_a_claimed_file_is_recomputed(tmp_path, monkeypatch):
    """The claim about the scalar file, checked the way `verify` does."""
    started, _ = smoke("rd_codes", tmp_path)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    row = record["metrics"]["files"][0]
    claim = records.Claim(
        "ratedist.trimodal.scalar_bits", row["bits"], None, 1, "bits", "", "", 1e-9, row["bytes"],
        row["file"],
    )  # fmt: skip
    again = rd_codes.recompute(claim, record, started.folder / row["file"], None)
    assert again == pytest.approx(row["bits"], abs=1e-12)
    shorter = {**record, "config": {**record["config"], "length": 100}}
    with pytest.raises(ValueError, match="shape"):
        rd_codes.recompute(claim, shorter, started.folder / row["file"], None)


def test_letters_have_their_exact_shares():
    source = sources.trimodal()
    sequence = letters(source, 1000, 3)
    counts = (sequence[:, None] == source.points[:, 0][None, :]).sum(axis=0)
    assert counts.sum() == 1000
    assert np.abs(counts - 1000 * source.p).max() < 1
