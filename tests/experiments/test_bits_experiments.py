"""The experiments about bits, in their smoke presets: every file written, decoded, recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.images import bits_back_mnist
from experiments.images.bits_back_mnist import ELBO, FILE, IMAGES
from experiments.runner import records
from experiments.runner.experiment import Data
from experiments.runner.run import run
from experiments.weight_coding import (
    bits_back_refund,
    l2_is_compression,
    label_codes,
    sparse_lenets,
)


def measured(module, tmp_path, preset: str = "smoke"):
    """The record of a preset's run."""
    name = module.__name__.rpartition(".")[2]
    run = records.start_run(name, preset, "test", out=str(tmp_path), data_dir=None)
    module.run(module.PRESETS[preset][1], run)
    return json.loads((tmp_path / "records" / f"{preset}.json").read_text())


def shown(module, record) -> str:
    """Tables and figures of a record, as if it were the paper's."""
    published = {"paper": record}
    figures = module.figures(published) if hasattr(module, "figures") else {}
    for figure in figures.values():
        assert figure.axes
    l2_is_compression.plots.close(figures.values())
    return str(module.tables(published))


def test_what_is_sent_less_the_refund_is_kl():
    experiment = bits_back_refund.EXPERIMENT
    config = experiment.presets["smoke"]
    for trial in experiment.grid(config):
        (row,) = bits_back_refund.measure(config, [trial], Data(Path()))
        assert row.net_bits == pytest.approx(row.divergence_bits, rel=0.06)
        assert row.sent_bits == pytest.approx(row.net_bits + row.borrowed_bits)


@pytest.mark.slow
def test_is_l2_compression(tmp_path):
    record = measured(l2_is_compression, tmp_path)
    rows = record["metrics"]["files"]
    for row in rows:
        assert (tmp_path / "files" / row["file"]).stat().st_size == row["bytes"]
        assert row["bytes"] == min(row["coded_bytes"].values())
        predicted = row["predicted_bits"]
        assert row["fixed_step_bits"] == pytest.approx(predicted, rel=0.02)
    main = [row for row in rows if row["coarser"] == 0]
    drops = [row["unrounded_validation_percent"] - row["validation_percent"] for row in main]
    assert max(drops) <= 0.11
    by_strength = {
        row["strength"]: row["fixed_step_bits"]
        for row in main
        if row["penalty"] == "l2" and row["seed"] == 0
    }
    assert by_strength[1e-3] < by_strength[1e-4]
    assert "l1 1e-05" in shown(l2_is_compression, record)


@pytest.mark.slow
def test_bits_back_of_images(tmp_path):
    experiment = bits_back_mnist.EXPERIMENT
    rows = {row.coded_by: row for row in run(experiment, "smoke", folder=tmp_path).rows}
    images, whole, elbo = (rows[n] for n in (IMAGES, FILE, ELBO))
    # The file also holds the labels, and the first image of each stream.
    assert images.bits_per_dimension == pytest.approx(elbo.bits_per_dimension, rel=0.05)
    assert whole.bytes > images.bytes
    assert len(rows) == 3 + 5


@pytest.mark.slow
def test_pruned_networks(tmp_path):
    record = measured(sparse_lenets, tmp_path)
    (row,) = record["metrics"]["networks"]
    assert row["bytes"] == (tmp_path / "artifacts" / row["file"]).stat().st_size
    assert row["bytes"] < row["xz_bytes"]
    assert row["accuracy_percent"] > 50
    assert "bits per nonzero" in shown(sparse_lenets, record)


@pytest.mark.slow
def test_codes_of_labels(tmp_path):
    record = measured(label_codes, tmp_path)
    sizes = record["metrics"]["bytes"]
    uniform = int(np.ceil(600 * np.log2(10) / 8))
    assert uniform < sizes["uniform"] <= uniform + 64
    assert sizes["prequential"] < sizes["uniform"]
    assert sizes["two_part"] == (
        record["metrics"]["model_bytes"] + record["metrics"]["coded_labels_bytes"]
    )
    assert "prequential" in shown(label_codes, record)
