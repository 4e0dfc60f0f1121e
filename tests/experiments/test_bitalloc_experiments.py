"""The bit-allocation experiments on made-up images: recorded, claimed, recomputed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bitalloc.fitting.fit import Sample
from experiments.bit_allocation import (
    bitalloc_curves,
    bitalloc_data,
    bitalloc_seed,
    bitalloc_sensors,
)
from experiments.runner import claims, records
from experiments.runner.folder import Data
from experiments.runner.run import run

pytestmark = pytest.mark.slow


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


CURVES = bitalloc_curves.EXPERIMENT
FEW = dataclasses.replace(
    CURVES.presets["smoke"],
    conditions=(("pixel", "central", 2), ("pixel", "quadrants", 2)),
    n_train=300,
    n_validation=100,
)


@pytest.mark.parametrize("experiment", [bitalloc_seed.EXPERIMENT, bitalloc_sensors.EXPERIMENT])
def test_every_accuracy_is_better_than_guessing(shapes, tmp_path, experiment):
    for row in run(experiment, "smoke", folder=tmp_path).of(experiment.row_types[0]):
        percents = [v for name, v in row._asdict().items() if name.endswith("_percent")]
        assert 100 / 3 < min(percents) <= max(percents) <= 100


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


@pytest.mark.data
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
