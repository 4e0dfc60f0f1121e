from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

import lgc
from lgc import archive
from lgc.gmm import selection

CONFIG = lgc.Config(hidden=32, latent=8, epochs=30, batch_size=64, components=1, bits=8)


@pytest.fixture(scope="module")
def digits():
    data = load_digits(n_class=3)
    return (data.images * 15.9375).astype(np.uint8), data.target


@pytest.fixture(scope="module")
def compressed(digits):
    return lgc.compress(*digits, config=CONFIG)


@pytest.mark.slow
def test_the_classes_look_like_themselves(digits, compressed):
    images, labels = digits
    drawn, drawn_labels, _ = lgc.decompress(compressed, per_class=200)
    assert drawn.shape == (600, 8, 8)
    means = np.stack([images[labels == c].mean(axis=0) for c in range(3)])
    for c in range(3):
        mean = drawn[drawn_labels == c].mean(axis=0)
        distances = np.linalg.norm(means - mean[None], axis=(1, 2))
        assert np.argmin(distances) == c
        assert distances[c] < 0.35 * np.delete(distances, c).min()


@pytest.mark.slow
def test_the_same_key_gives_the_same_file(digits, compressed):
    assert lgc.compress(*digits, config=CONFIG) == compressed


@pytest.mark.slow
def test_without_a_class_size_the_counts_are_the_originals(digits, compressed):
    _, labels, _ = lgc.decompress(compressed)
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(digits[1]))


@pytest.mark.slow
def test_simpler_covariances_make_smaller_files(digits):
    sizes = []
    for covariance in ("full", "spherical"):
        config = replace(CONFIG, components=2, epochs=3, covariance=covariance)
        data = lgc.compress(*digits, config=config)
        assert archive.read(data).components == (2, 2, 2)
        sizes.append(len(data))
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.slow
def test_selection_by_bytes_minimises_the_real_description(digits):
    config = replace(CONFIG, selection="bytes", components=None, max_components=3)
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(400, 3)) + 6 * rng.integers(0, 2, size=(400, 1))
    (candidates,) = selection.fit_candidates(
        latents.astype(np.float32), np.zeros(400, int), config, jax.random.key(0)
    )
    bits = [selection.description_bits(candidates.latents, m, config) for m in candidates.mixtures]
    chosen = selection.select(candidates, config)
    assert len(chosen.weights) == 2
    assert np.argmin(bits) == 1


@pytest.mark.slow
def test_one_program_and_one_for_each_count_agree(digits, monkeypatch):
    latents = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    latents[45:] += 5
    classes = np.repeat([0, 1, 0], 30)
    config = replace(CONFIG, components=None, max_components=2)
    found = []
    for together in (True, False):
        monkeypatch.setattr(selection, "_side_by_side", lambda work, t=together: t)
        each = selection.fit_candidates(latents, classes, config, jax.random.key(1))
        found.append([candidates.bic for candidates in each])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)


@pytest.mark.slow
def test_images_that_are_all_alike_are_compressed():
    images = np.full((20, 4, 4), 200, np.uint8)
    data = lgc.compress(images, np.arange(20) % 2, config=replace(CONFIG, epochs=5))
    drawn, _, _ = lgc.decompress(data, per_class=4)
    assert drawn.shape == (8, 4, 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("components", 0), ("learning_rate", -1.0), ("covariance", "banana")],
)
def test_a_bad_config_names_the_value(field, value):
    with pytest.raises(ValueError, match=str(value)):
        replace(CONFIG, **{field: value})


@pytest.mark.slow
def test_progress_reaches_the_end(digits):
    calls = []
    config = replace(CONFIG, epochs=2, components=1)
    lgc.compress(*digits, config=config, progress=lambda *call: calls.append(call))
    assert calls[-1][1] == calls[-1][2]
    assert ("training the autoencoder", 16, 16) in calls
