from __future__ import annotations

import json

import numpy as np

from experiments.dataset_compression import spuco


def test_pictures_come_back():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    text = json.loads(json.dumps(spuco.pack(images)))
    np.testing.assert_array_equal(spuco.unpack(text), images)
