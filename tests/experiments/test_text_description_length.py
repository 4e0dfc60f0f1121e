"""The text experiment: smoke preset end to end; tables and figures from a record."""

from __future__ import annotations

import dataclasses
import json

import pytest

from experiments.runner import plots, records
from experiments.text import text_baselines, text_methods, text_rows
from experiments.text import text_description_length as experiment
from fewbits.codecs.text import online


def _record(size: int = 1000) -> dict:
    """What a run would have written, with numbers that say where they belong."""
    config = dataclasses.replace(experiment.PRESETS["cpu"][1], bytes=4 * size, small_bytes=size)
    measured = []
    for number, row in enumerate(experiment.rows(config)):
        measured.append(
            {
                "name": row.name,
                "mode": row.mode,
                "method": row.method,
                "strength": row.strength,
                "contexts": row.model.contexts,
                "parameters": 1000 + number,
                "nonzeros": 900,
                "model_bytes": 77,
                "data_bytes": 200,
                "file_bytes": 300 + number,
                "formula_bytes": 4000.0,
                "bits_per_byte": 2.5,
                "encode_bytes_per_second": 1234.0,
                "decode_bytes_per_second": 4321.0,
            }
        )
    sizes = {"xz": 400, "bzip2": 410}
    labels = {"0.004MB": 4 * size, "0.001MB": size}
    baselines = {label: sizes for label in labels}
    return {"metrics": {"rows": measured, "baselines": baselines, "text_bytes": labels}}


def test_tables_and_figures():
    published = {"cpu": _record(), "smoke": _record()}
    large, small, missing = experiment.tables(published)
    assert missing.rows == [("not run", "python -m experiments text_description_length gpu")]
    assert "4,000 bytes" in large.title
    shown = [row[0] for row in large.rows]
    assert shown.count("xz -9e") == 1
    assert sum("offline" in name for name in shown) == 4
    assert sum("online" in name for name in shown) == 5
    online = [row[0] for row in small.rows if "online" in row[0]]
    assert [name.endswith("contexts") for name in online] == [True, False, True, True, True]
    figures = experiment.figures(published)
    assert set(figures) == {"cpu_against_strength", "cpu_against_size"}
    plots.close(figures.values())


def test_rows_survive_json():
    for preset in ("smoke", "cpu", "gpu"):
        rows = experiment.rows(experiment.PRESETS[preset][1])
        assert len({row.name for row in rows}) == len(rows)
        for row in rows:
            assert text_rows.from_json(json.loads(json.dumps(dataclasses.asdict(row)))) == row
            row.model.config()


def test_claims_name_the_smallest_files(tmp_path):
    run = records.start_run("text", "cpu", "command", out=str(tmp_path), data_dir=None)
    claims = {c.id: c for c in experiment._claims(_record()["metrics"], run, "text/cpu.json")}
    assert claims["text.0.004MB.online.bytes"].value == 300
    assert claims["text.0.004MB.offline.bytes"].value == 301
    assert claims["text.0.004MB.xz.bytes"].value == 400
    assert claims["text.decode_bytes_per_second"].value == 4321
    assert all(claim.artifact is None for claim in claims.values())


def test_baselines_shrink_what_repeats():
    text = b"what repeats, repeats; " * 500
    sizes = text_baselines.sizes(text)
    assert {"xz", "bzip2", "gzip"} <= sizes.keys() <= text_baselines.COMMANDS.keys()
    assert max(sizes.values()) < len(text) / 10


def test_every_method_learns_online_and_is_known_to_the_decoder():
    assert tuple(text_methods.ONLINE) == text_methods.NAMES
    assert set(online.METHODS) < set(text_methods.NAMES)


@pytest.mark.slow
def test_smoke_preset(tmp_path):
    config = experiment.PRESETS["smoke"][1]
    run = records.start_run(
        "text_description_length", "smoke", "test", out=str(tmp_path), data_dir=None
    )
    experiment.run(config, run)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    rows = record["metrics"]["rows"]
    assert len(rows) == len(experiment.rows(config))
    for row in rows:
        size = (tmp_path / "rows" / f"{row['name']}.fwb").stat().st_size
        assert row["file_bytes"] == size == row["model_bytes"] + row["data_bytes"]
        if row["mode"] == "offline":
            assert row["file_bytes"] < row["formula_bytes"]
        elif row["contexts"]:  # without, so small a network learns little of so short a text
            assert row["bits_per_byte"] < 5
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").glob("*.fwb")}
    experiment.run(config, run)  # nothing is measured twice
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").glob("*.fwb")}
