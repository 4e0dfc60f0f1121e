"""The bit-allocation experiments on made-up images: resumable, recorded, claimed, recomputed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from bitalloc.fitting.fit import Sample
from experiments.bit_allocation import (
    bitalloc_curves,
    bitalloc_data,
    bitalloc_prices,
    bitalloc_seed,
    bitalloc_sensors,
)
from experiments.runner import claims, plots, records, report
from experiments.runner.folder import Data
from experiments.runner.run import run

pytestmark = pytest.mark.slow

MODULES = {
    "bitalloc_seed": bitalloc_seed,
    "bitalloc_sensors": bitalloc_sensors,
    "bitalloc_prices": bitalloc_prices,
}


@pytest.fixture
def shapes(monkeypatch):
    """Noisy images of three shapes stand in for the data set."""

    def three_classes(split, data_dir):
        del data_dir
        rng = np.random.default_rng(split == "test")
        labels = np.arange(500).astype(np.int32) % 3
        images = rng.integers(0, 120, (500, 28, 28))
        images[labels == 1, 4:12, 4:12] += 100
        images[labels == 2, 16:24, 16:24] += 100
        return Sample(images.reshape(500, 784).astype(np.uint8), labels)

    monkeypatch.setattr(bitalloc_data, "three_classes", three_classes)


def start(name: str, folder, preset: str = "smoke") -> records.Run:
    command = f"python -m experiments {name} {preset}"
    return records.start_run(name, preset, command, out=str(folder), data_dir=None)


def config_of(name: str):
    return MODULES[name].PRESETS["smoke"][1]


CURVES = bitalloc_curves.EXPERIMENT
FEW = dataclasses.replace(
    CURVES.presets["smoke"],
    conditions=(("pixel", "central", 2), ("pixel", "quadrants", 2)),
    n_train=300,
    n_validation=100,
)


@pytest.mark.parametrize("name", ["bitalloc_seed", "bitalloc_sensors"])
def test_a_smoke_run_writes_its_record(shapes, tmp_path, name):
    MODULES[name].run(config_of(name), start(name, tmp_path))
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    assert record["experiment"] == name
    rows = record["metrics"]["rows"]
    assert rows
    for row in rows:
        for field, value in row.items():
            if field.endswith("_percent"):
                assert 100 / 3 < value <= 100


def test_a_published_run_claims_numbers_that_can_be_recomputed(shapes, tmp_path):
    record = run(CURVES, "goals", FEW, folder=tmp_path)
    found = records.read_claims(tmp_path / "claims.json")
    assert set(found) == {"bitalloc.pixel.central.2", "bitalloc.pixel.quadrants.2"}
    central = found["bitalloc.pixel.central.2"]
    assert central.value == found["bitalloc.pixel.quadrants.2"].value
    artifacts = tmp_path / "artifacts"
    assert (artifacts / str(central.artifact)).stat().st_size == central.bytes
    again = claims.recomputed(CURVES, record, central.id, Data(tmp_path), artifacts)
    assert again == central.value
    tables, figures = report.of_records(CURVES, {"goals": record.content})
    assert len(tables[0].rows) == 5
    plots.close(figures.values())


def test_a_run_that_was_cut_off_goes_on(shapes, tmp_path, monkeypatch, capsys):
    config = dataclasses.replace(FEW, conditions=(("pixel", "quadrants", 2),))
    run(CURVES, "smoke", config, folder=tmp_path)
    next((tmp_path / "trials").glob("pixel_quadrants_2_1_*.json")).unlink()
    capsys.readouterr()
    run(CURVES, "smoke", config, folder=tmp_path)
    assert capsys.readouterr().out.count("pixel quadrants 2 1") == 1


@pytest.mark.data
@pytest.mark.slow
def test_two_pixels_tell_five_in_six_of_the_real_images(tfds_dir, tmp_path):
    config = dataclasses.replace(
        CURVES.presets["goals"],
        conditions=(("pixel", "central", 2),),
        first_seed_conditions=(),
        seeds=(0,),
        restarts=0,
    )
    record = run(CURVES, "smoke", config, folder=tmp_path, data_dir=str(tfds_dir))
    assert record.rows[0].test_percent > 83
