"""The experiments about bits, in their smoke presets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.images import bits_back_mnist
from experiments.images.bits_back_mnist import ELBO, FILE, IMAGES
from experiments.runner.experiment import Data
from experiments.runner.run import run
from experiments.weight_coding import (
    bits_back_refund,
    l2_is_compression,
    label_codes,
    sparse_lenets,
)


def test_what_is_sent_less_the_refund_is_kl():
    experiment = bits_back_refund.EXPERIMENT
    config = experiment.presets["smoke"]
    for trial in experiment.grid(config):
        (row,) = bits_back_refund.measure(config, [trial], Data(Path()))
        assert row.net_bits == pytest.approx(row.divergence_bits, rel=0.06)
        assert row.sent_bits == pytest.approx(row.net_bits + row.borrowed_bits)


@pytest.mark.nightly
def test_is_l2_compression(tmp_path):
    record = run(l2_is_compression.EXPERIMENT, "smoke", folder=tmp_path)
    for file in record.of(l2_is_compression.File):
        assert (tmp_path / "files" / file.file).stat().st_size == file.bytes
        assert file.bytes == min(file.coded_bytes.values())
        if file.coarser == 0:
            rounded = file.validation_percent
            (row,) = [
                row
                for row in record.of(l2_is_compression.Network)
                if (row.penalty, row.weight, row.seed) == (file.penalty, file.weight, file.seed)
            ]
            sizes = (row.gaussian, row.laplace, row.spike, row.empirical, row.sparse)
            assert min(sizes) == file.bytes
            assert row.unrounded_validation_percent - rounded <= 0.11
            assert row.fixed_step_bits == pytest.approx(row.predicted_bits, rel=0.02)
    coded = {
        row.weight: row.fixed_step_bits
        for row in record.of(l2_is_compression.Network)
        if row.penalty == "l2" and row.seed == 0
    }
    assert coded[1e-3] < coded[1e-4]


@pytest.mark.nightly
def test_bits_back_of_images(tmp_path):
    experiment = bits_back_mnist.EXPERIMENT
    rows = {row.coded_by: row for row in run(experiment, "smoke", folder=tmp_path).rows}
    images, whole, elbo = (rows[n] for n in (IMAGES, FILE, ELBO))
    # The file also holds the labels, and the first image of each stream.
    assert images.bits_per_dimension == pytest.approx(elbo.bits_per_dimension, rel=0.05)
    assert whole.bytes > images.bytes
    assert len(rows) == 3 + 5


@pytest.mark.nightly
def test_pruned_networks(tmp_path):
    (row,) = run(sparse_lenets.EXPERIMENT, "smoke", folder=tmp_path).rows
    assert row.bytes == (tmp_path / "files" / row.file).stat().st_size < row.xz_bytes
    assert row.accuracy_percent > 50


@pytest.mark.nightly
def test_codes_of_labels(tmp_path):
    record = run(label_codes.EXPERIMENT, "smoke", folder=tmp_path)
    uniform, two_part, prequential = record.rows
    limit = int(np.ceil(600 * np.log2(10) / 8))
    assert limit < uniform.bytes <= limit + 64
    assert prequential.bytes < uniform.bytes
    assert two_part.bytes == two_part.model_bytes + two_part.labels_bytes
