"""A step of a large network that was cut off goes on from its checkpoints, to the same bits."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fewbits.training.models import vgg
from pruning.procedures.classifiers import Setting
from pruning.procedures.resumable import Settings, Trainer

NETWORK = vgg.vgg16((8, 8, 1), 2, blocks=((4,), (8,)))


class CutOffError(Exception):
    """Instead of SIGKILL."""


def data() -> dict:
    rng = np.random.default_rng(0)
    y = np.arange(240).astype(np.int32) % 2
    x = rng.integers(0, 100, (240, 8, 8, 1)).astype(np.uint8)
    x[y == 1, :4] += 120
    cuts = {"train": slice(0, 160), "validation": slice(160, 200), "test": slice(200, 240)}
    return {name: (x[cut], y[cut]) for name, cut in cuts.items()}


@pytest.mark.slow
@pytest.mark.nightly
def test_a_step_that_was_cut_off_ends_alike(tmp_path):
    settings = Settings(40, shift_pixels=1, calibration_images=80, checkpoint_epochs=2)
    params = NETWORK.init(jax.random.key(0))

    def step(folder, cached_file):
        trainer = Trainer(NETWORK, NETWORK, data(), settings, folder)
        setting = Setting(1e-4, 0.1, 2e-3)
        return trainer.step("s", jax.random.key(1), params, "drr", setting, 4, 2, cached_file)

    def written(name, write):
        write(tmp_path / name)
        return tmp_path / name

    def cut_off(name, write):
        raise CutOffError

    whole = step(tmp_path / "whole", written)
    with pytest.raises(CutOffError):
        step(tmp_path / "cut", cut_off)
    again = step(tmp_path / "cut", written)
    jax.tree.map(np.testing.assert_array_equal, again, whole)
    assert bool(whole["metrics"]["finite"])
    assert 0 < int(whole["metrics"]["nonzeros"]) < sum(x.size for x in jax.tree.leaves(params))
    trainer = Trainer(NETWORK, NETWORK, data(), settings, tmp_path / "cut")
    trainer.discard("s")
    assert not (tmp_path / "cut/s").exists()
