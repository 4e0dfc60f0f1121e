"""The VGG experiment: from training to the file, interrupted and resumed; what it prints."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.pruning.iterative import Chain, Round
from experiments.pruning.prune_runs import Training
from experiments.pruning.vgg import prune_vgg, prune_vgg_files, prune_vgg_iterative
from experiments.pruning.vgg.prune_vgg_iterative import Config
from experiments.runner import records
from fewbits.io import datasets

TINY = Config(
    data="digits",
    width=1 / 8,
    blocks=((64,), (128,)),
    chains=(Chain("drr", 1e-4, (Round(1.0, 4), Round(10.0, 4, 4)), learning_rate=2e-3),),
    training=Training(epochs=6, batch_size=100),
    mirrored=False,
    validation_images=297,
    calibration_images=200,
    checkpoint_epochs=2,
)
"""Seconds of training on embedded data; the programs' compilation is what takes its time."""


def start(folder):
    return records.start_run("prune_vgg", "toy", "command", out=str(folder), data_dir=None)


def read(folder):
    return {path.stem: json.loads(path.read_text()) for path in (folder / "records").glob("*.json")}


def test_mirrored_shows_either_side_of_an_image():
    images = jnp.arange(2 * 3 * 4 * 1.0).reshape(2, 3, 4, 1)
    images = jnp.tile(images, (50, 1, 1, 1))

    def loss(key, params, batch):
        del key, params
        return jnp.zeros(()), {"seen": batch[0]}

    labels = jnp.zeros(100, jnp.int32)
    seen = prune_vgg_iterative.mirrored(loss)(jax.random.key(0), {}, (images, labels))[1]["seen"]
    as_it_is = np.all(seen == images, axis=(1, 2, 3))
    turned = np.all(seen == images[:, :, ::-1, :], axis=(1, 2, 3))
    assert np.all(as_it_is ^ turned)
    assert 30 < turned.sum() < 70


def test_a_folder_of_other_settings_is_refused(tmp_path):
    prune_vgg.claim_folder(tmp_path, TINY, TINY.chains[0])
    other_parts = dataclasses.replace(TINY, chains=(), dense=False, seeds=(3,), write_files=False)
    prune_vgg.claim_folder(tmp_path, other_parts, TINY.chains[0])
    other_chain = dataclasses.replace(TINY.chains[0], strength=2e-4)
    with pytest.raises(records.RunError, match="other settings"):
        prune_vgg.claim_folder(tmp_path, TINY, other_chain)
    with pytest.raises(records.RunError, match="other settings"):
        prune_vgg.claim_folder(tmp_path, dataclasses.replace(TINY, width=1.0), TINY.chains[0])


def test_mistakes_on_the_command_line_end_with_2(tmp_path, capsys):
    assert prune_vgg.main([]) == 2
    assert prune_vgg.main(["gpu", str(tmp_path), "no_method"]) == 2
    assert prune_vgg.main(["no_preset", str(tmp_path)]) == 2
    assert "dense, drr, pmmp_curvature, magnitude" in capsys.readouterr().err
    with pytest.raises(datasets.DataError, match=str(tmp_path)):
        prune_vgg.read_dense(tmp_path)


def test_tables_need_the_whole_network():
    lanes = {
        "nonzeros": [[400_000.0], [100_000.0], [10_000.0]],
        "validation_error": [[0.080], [0.089], [0.2]],
        "test_error": [[0.081], [0.091], [0.21]],
        "finite": [[True], [True], [True]],
    }
    dense = {"validation_error": [0.08], "test_error": [0.082]}
    found = {
        "narrow_dense": {"metrics": dense, "seeds": [0], "data": "note"},
        "narrow_drr": {"metrics": {"lanes": lanes}, "seeds": [0]},
    }
    assert prune_vgg.tables(found) == []
    assert prune_vgg.figures(found) == {}
    found = {name.replace("narrow", "vgg16"): record for name, record in found.items()}
    (table,) = prune_vgg.tables(found)
    assert table.rows[1][1:] == ("153", "100,000 ± 0", "9.10 ± 0.00", "8.90", 1)
    assert list(prune_vgg.figures(found)) == ["vgg16_front"]
    assert prune_vgg.name_of(prune_vgg.PRESETS["gpu"][1]) == "vgg16"
    assert prune_vgg.name_of(TINY) == "narrow"


def test_the_claim_is_the_largest_mean_ratio():
    def row(method, nonzeros, error, name):
        return {
            "method": method,
            "parameters": 1000,
            "nonzeros": nonzeros,
            "validation_error_percent": error,
            "bytes": 10 * nonzeros,
            "file": name,
        }

    rows = [
        row("drr", 10, 8.0, "a"),
        row("magnitude", 20, 7.0, "b"),
        row("drr", 20, 7.9, "c"),
        row("magnitude", 20, 7.0, "d"),
    ]
    claim = prune_vgg_files._claim(rows, "prune_vgg/vgg16_files.json", "command")
    assert (claim.id, claim.value, claim.seeds) == ("pruning.vgg16.ratio", 75.0, 2)
    assert (claim.artifact, claim.bytes) == ("c", 200)
    # Verification recomputes the ratio of one file, which lies within the spread of all.
    assert abs(1000 / 20 - claim.value) <= claim.tolerance


@pytest.mark.slow
def test_interrupted_resumed_and_down_to_the_file(tmp_path, monkeypatch):
    """A run killed between two checkpoints ends with the bits of one that was not."""
    monkeypatch.setattr(prune_vgg_files, "POINTS_LOST", 60.0)
    run = start(tmp_path / "whole")
    prune_vgg.run(TINY, run)
    found = read(run.folder)
    assert set(found) == {"narrow_dense", "narrow_drr", "narrow_files"}
    (row,) = found["narrow_files"]["metrics"]["files"]
    file = run.artifacts / row["file"]
    assert file.stat().st_size == row["bytes"]
    assert row["nonzeros"] < row["parameters"]
    assert not (run.folder / "claims.json").exists()
    ratio = row["parameters"] / row["nonzeros"]
    claim = records.Claim("toy", ratio, None, 1, "x", "", "")
    assert prune_vgg.recompute(claim, found["narrow_files"], file, None) == ratio

    class Killer(prune_vgg_iterative.Bar):
        def __call__(self, *call):
            if self._title == "tune" and call[0] > 0:
                raise KeyboardInterrupt

    again = start(tmp_path / "again")
    with monkeypatch.context() as patched:
        patched.setattr(prune_vgg_iterative, "Bar", Killer)
        with pytest.raises(KeyboardInterrupt):
            prune_vgg.run(TINY, again)
    assert not (again.folder / "lanes" / "drr_0_1.npz").exists()
    prune_vgg.run(dataclasses.replace(TINY, write_files=False), again)
    one, other = (prune_vgg.read_chain(r.folder / "lanes", "drr") for r in (run, again))
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
@pytest.mark.data
def test_smoke(tmp_path, monkeypatch, tfds_dir):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_dir))
    run = start(tmp_path)
    prune_vgg.run(prune_vgg.PRESETS["smoke"][1], run)
    found = read(run.folder)
    assert set(found) == {"narrow_dense", "narrow_drr", "narrow_magnitude", "narrow_files"}
    dense = found["narrow_dense"]["metrics"]
    assert dense["finite"] == [True]
    assert dense["validation_error"][0] < 0.88
    for method in ("drr", "magnitude"):
        lanes = found[f"narrow_{method}"]["metrics"]["lanes"]
        assert np.all(lanes["finite"])
        assert lanes["nonzeros"][1][0] < lanes["nonzeros"][0][0]
