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
from experiments.runner import records

pytestmark = pytest.mark.slow

MODULES = {
    "bitalloc_curves": bitalloc_curves,
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
    config = MODULES[name].PRESETS["smoke"][1]
    if name == "bitalloc_curves":
        cells = (("pixel", "central", 2), ("pixel", "quadrants", 2))
        return dataclasses.replace(config, cells=cells, n_train=300, n_validation=100)
    return config


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
    name = "bitalloc_curves"
    run = start(name, tmp_path, "goals")
    bitalloc_curves.run(config_of(name), run)
    record = json.loads((tmp_path / "records" / "goals.json").read_text())
    claims = records.read_claims(tmp_path / "claims.json")
    assert set(claims) == {"bitalloc.pixel.central.2", "bitalloc.pixel.quadrants.2"}
    central = claims["bitalloc.pixel.central.2"]
    assert central.value == claims["bitalloc.pixel.quadrants.2"].value
    artifact = tmp_path / "artifacts" / central.artifact
    assert artifact.stat().st_size == central.bytes
    assert bitalloc_curves.recompute(central, record, artifact, None) == central.value
    assert len(bitalloc_curves.tables({"goals": record})[0].rows) == 5


def test_a_run_that_was_cut_off_goes_on(shapes, tmp_path, monkeypatch):
    name = "bitalloc_curves"
    config = dataclasses.replace(config_of(name), cells=(("pixel", "quadrants", 2),))
    bitalloc_curves.run(config, start(name, tmp_path))
    (tmp_path / "cells" / "pixel_quadrants_2_1.json").unlink()
    measured = []
    measure = bitalloc_curves._measure_cell
    monkeypatch.setattr(
        bitalloc_curves,
        "_measure_cell",
        lambda config, run, cell, *rest: measured.append(cell) or measure(config, run, cell, *rest),
    )
    bitalloc_curves.run(config, start(name, tmp_path))
    assert measured == [("pixel", "quadrants", 2)]


@pytest.mark.data
@pytest.mark.slow
def test_two_pixels_tell_five_in_six_of_the_real_images(tfds_dir, tmp_path):
    config = dataclasses.replace(
        bitalloc_curves.PRESETS["goals"][1],
        cells=(("pixel", "central", 2),),
        first_seed_cells=(),
        seeds=(0,),
        restarts=0,
    )
    run = start("bitalloc_curves", tmp_path)._replace(data_dir=str(tfds_dir))
    bitalloc_curves.run(config, run)
    record = json.loads((tmp_path / "records" / "smoke.json").read_text())
    assert record["metrics"]["rows"][0]["test_percent"] > 83
