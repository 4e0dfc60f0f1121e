import dataclasses
import json

import numpy as np
import pytest

from experiments.dataset_compression import lgc_variants, lgc_variants_figures
from experiments.runner import records


def test_the_front_is_what_nothing_beats():
    points = [(10, 90.0), (20, 85.0), (5, 80.0), (20, 95.0), (30, 95.0)]
    assert lgc_variants_figures.pareto(points) == [(5, 80.0), (10, 90.0), (20, 95.0)]


def test_names_say_what_is_not_as_usual():
    suffixes = {name: config.suffix for name, (_, config) in lgc_variants.PRESETS.items()}
    assert suffixes["paper"] == ""
    assert suffixes["finer"] == "_12bit"
    assert suffixes["longer"] == "_50epochs"
    assert suffixes["reported"] == "_12bit_50epochs_pytorch"


@pytest.mark.slow
@pytest.mark.data
def test_smoke_run_makes_tables_and_figures(tmp_path, tfds_dir):
    config = lgc_variants.PRESETS["smoke"][1]
    run = records.start_run(
        "lgc_variants", "smoke", "command", out=str(tmp_path), data_dir=str(tfds_dir)
    )
    lgc_variants.run(config, run)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    (plain, conditional) = record["metrics"]["rows"]
    assert plain["bytes"] < plain["report_bytes"]
    components = sum(conditional["components"])
    decoder = (26 + 1) * 64 + 2 * 65 * 64 + 65 * 784
    assert conditional["report_bytes"] == components * (1 + 26 + 2 * 26**2) * 8 + 4 * decoder
    for row in (plain, conditional):
        assert row["finite"]
        assert np.sum(row["pictures"]["confusion"]) == 10_000
    as_paper = {"paper": record}
    (table,) = lgc_variants.tables(as_paper)
    assert len(table.rows) == 2
    assert len(lgc_variants.figures(as_paper)) == 5
    claim_config = dataclasses.replace(config, names=("contrastive_ae",))
    claim = lgc_variants._claim(
        claim_config, run, [plain], "contrastive_ae", tmp_path / "records" / "smoke.json"
    )
    archive = tmp_path / "archives" / "lgc_contrastive_ae_0.lgc"
    found = lgc_variants.recompute(claim, record, archive, str(tfds_dir))
    assert found == pytest.approx(plain["accuracy_percent"], abs=1.0)
