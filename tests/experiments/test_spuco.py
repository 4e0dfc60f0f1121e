from __future__ import annotations

import json

import numpy as np

from experiments.dataset_compression import spuco, spuco_figures
from experiments.runner.folder import Data


def test_pictures_come_back():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    text = json.loads(json.dumps(spuco_figures.pack(images)))
    np.testing.assert_array_equal(spuco_figures.unpack(text), images)


def test_validation_images_are_held_out_and_do_not_depend_on_the_seed(tmp_path):
    config = spuco.Config(data="digits", test="validation")
    data = Data(tmp_path)
    train, held_out = spuco.coloured(config, 0.8, 0, data)
    assert len(train.classes) + len(held_out.classes) == 1_297
    other, same = spuco.coloured(config, 0.8, 1, data)
    np.testing.assert_array_equal(held_out.pixels, same.pixels)
    assert (other.backgrounds != train.backgrounds).any()
