"""Whole systems on digits: each mode fits, packs exactly B bits and decodes from bytes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

import bitalloc
from bitalloc import decoder
from bitalloc.encoders import encoder, sensors
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.encoders.sensor_network import sensor_network
from bitalloc.fitting import modes, proposals
from bitalloc.fitting.fit import FitConfig, Problem, Sample, with_translations
from fewbits.coding import InputError

EPOCHS_ALONE: dict[str, Any] = {"min_steps": 0, "evaluations": 0}
FAST = FitConfig(
    smaller_budgets=False,
    informed_split=False,
    n_levels=17,
    restarts=1,
    swap_passes=1,
    bottleneck=BottleneckConfig(epochs=40, batch_size=32, receiver_width=16, **EPOCHS_ALONE),
    receiver=BottleneckConfig(epochs=5, receiver_width=16, **EPOCHS_ALONE),
)


@pytest.fixture(scope="module")
def digits():
    data = load_digits(n_class=3)
    features, labels = data.data.astype(np.uint8), data.target.astype(np.int32)
    return Sample(features, labels)


def problem(digits, view="central", test_changes=None) -> Problem:
    """400 for training and 60 for validation; the rest is for testing."""
    features, labels = digits.features.copy(), digits.labels.copy()
    if test_changes is not None:
        features[460:], labels[460:] = test_changes(features[460:], labels[460:])
    return Problem(
        Sample(features[:400], labels[:400]),
        Sample(features[400:460], labels[400:460]),
        sensors.parse(view, 64, (8, 8)),
        (8, 8),
        (0, 1, 2),
    )


def test_accuracy(model, digits) -> float:
    features, labels = digits.features[460:], digits.labels[460:]
    data = bitalloc.encode(model, features)
    assert len(data) == -(-len(labels) * model.bits // 8)
    return float(np.mean(bitalloc.decode(model, data, len(labels)) == labels))


test_accuracy.__test__ = False  # a helper, in spite of its name


@pytest.mark.parametrize(
    ("mode", "view", "bits", "least"),
    [
        ("pixel", "central", 4, 0.8),
        pytest.param("pixel", "quadrants", 10, 0.8, marks=pytest.mark.slow),
        pytest.param("projection", "central", 3, 0.9, marks=pytest.mark.slow),
        pytest.param("decision", "central", 2, 0.85, marks=pytest.mark.slow),
    ],
)
def test_every_mode_fits_and_its_file_holds_all_of_it(key, digits, mode, view, bits, least):
    config = FAST
    if mode == "decision":
        settings = BottleneckConfig(
            epochs=12, batch_size=32, sensor_width=8, weight_decay=0.01, **EPOCHS_ALONE
        )
        config = replace(FAST, bottleneck=settings)
    model = modes.fit(key, problem(digits, view), mode, bits, config)
    assert model.bits == bits == model.sensor_bits.sum()
    read = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert bitalloc.to_bytes(read) == bitalloc.to_bytes(model)
    assert test_accuracy(read, digits) >= least
    sender = encoder.symbol_sensor(read.encoder, read.sensor_of)
    assert np.all(np.diff(sender) >= 0)


@pytest.mark.parametrize("bits", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_pixel_mode_is_the_same_for_one_sensor_and_for_four(key, digits, bits):
    fitted = {
        view: modes.fit(key, problem(digits, view), "pixel", bits, FAST)
        for view in ("central", "quadrants")
    }
    chosen = {
        view: {
            (int(m), float(t[0]))
            for m, t in zip(model.encoder.feature, model.encoder.thresholds, strict=True)
        }
        for view, model in fitted.items()
    }
    assert chosen["central"] == chosen["quadrants"]
    assert test_accuracy(fitted["central"], digits) == test_accuracy(fitted["quadrants"], digits)


def test_sign_bits_of_score_differences_reproduce_the_argmax_exactly(digits):
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(3, 64)), rng.normal(size=3)
    signs = encoder.ProjectionEncoder(*proposals.pairwise_differences(weights, bias), head="signs")
    view = sensors.central(64)
    features = np.concatenate([digits.features, rng.normal(size=(2000, 64))])
    argmax = np.argmax(features @ weights.T + bias, axis=1)
    symbols = encoder.encode(signs, features, view)
    depth = encoder.depth_bits(signs)
    assert depth.sum() == 3
    table = decoder.fit_table(symbols, argmax, depth, 3)
    np.testing.assert_array_equal(decoder.decode(table, symbols, depth), argmax)


@pytest.mark.parametrize("mode", ["pixel", pytest.param("projection", marks=pytest.mark.slow)])
def test_images_outside_the_problem_cannot_change_the_model(key, digits, mode):
    rng = np.random.default_rng(1)

    def spoil(features, labels):
        return rng.integers(0, 17, features.shape), rng.integers(0, 3, labels.shape)

    made = [
        bitalloc.to_bytes(modes.fit(key, problem(digits, "central", change), mode, 3, FAST))
        for change in (None, spoil)
    ]
    assert made[0] == made[1]


def test_translated_copies_repeat_the_border():
    image = np.arange(6, dtype=np.uint8)
    translated = with_translations(Sample(image[None], np.array([1])), (2, 3))
    np.testing.assert_array_equal(
        translated.features,
        [
            [0, 1, 2, 3, 4, 5],
            [0, 1, 2, 0, 1, 2],
            [3, 4, 5, 3, 4, 5],
            [0, 0, 1, 3, 3, 4],
            [1, 2, 2, 4, 5, 5],
        ],
    )
    np.testing.assert_array_equal(translated.labels, [1] * 5)


@pytest.fixture(scope="module")
def three_senders(digits):
    """Projections of three quadrants; the top right one has no bits."""
    split = (3, 0, 2, 3)
    quadrants = problem(digits, "quadrants")
    return modes.fit(jax.random.key(0), quadrants, "projection", 8, FAST, sensor_bits=split)


@pytest.mark.slow
def test_projections_of_quadrants_classify(three_senders, digits):
    np.testing.assert_array_equal(three_senders.sensor_bits, [3, 0, 2, 3])
    read = bitalloc.from_bytes(bitalloc.to_bytes(three_senders))
    assert bitalloc.to_bytes(read) == bitalloc.to_bytes(three_senders)
    assert test_accuracy(read, digits) > 0.7


@pytest.mark.slow
def test_a_sensor_without_bits_sends_nothing(three_senders, digits):
    blind = digits.features[460:].copy().reshape(-1, 8, 8)
    blind[:, :4, 4:] = 0
    seen = bitalloc.encode(three_senders, digits.features[460:])
    assert seen == bitalloc.encode(three_senders, blind.reshape(-1, 64))


def test_the_order_of_a_batch_and_its_cuts_do_not_matter(three_senders, digits):
    whole = bitalloc.encode(three_senders, digits.features[:16])
    parts = [bitalloc.encode(three_senders, digits.features[i : i + 1]) for i in range(16)]
    assert whole == b"".join(parts)


def broken(digits, **changes) -> Problem:
    good = problem(digits)
    train = Sample(
        changes.pop("features", good.train.features), changes.pop("labels", good.train.labels)
    )
    return good._replace(train=train, **changes)


@pytest.mark.parametrize(
    ("change", "bits", "said"),
    [
        (lambda d: {}, 0, "at least 1 bit, got a budget of 0"),
        (lambda d: {}, -3, "budget of -3"),
        (lambda d: {}, 10_000, "10000 bits exceeds the"),
        (lambda d: {"labels": np.zeros(400, np.int32)}, 2, "one class only"),
        (lambda d: {"features": np.full((400, 64), 3)}, 2, "constant"),
        (lambda d: {"features": np.where(d.features[:400] > 15, np.nan, 1.0)}, 2, "NaN"),
        (
            lambda d: {"features": d.features[:2], "labels": np.array([0, 1])},
            2,
            "2 training images for 3 classes",
        ),
    ],
)
def test_problems_that_cannot_be_fitted_say_why(key, digits, change, bits, said):
    with pytest.raises(InputError, match=said):
        modes.fit(key, broken(digits, **change(digits)), "pixel", bits, FAST)


def test_bad_modes_and_shares_are_refused(key, digits):
    with pytest.raises(InputError, match="unknown mode 'pixels'"):
        modes.fit(key, problem(digits), "pixels", 2, FAST)
    with pytest.raises(InputError, match=r"\(1, 1\) do not share 3"):
        modes.fit(key, problem(digits), "projection", 3, FAST, sensor_bits=(1, 1))


@pytest.mark.slow
def test_quadrants_may_decide_by_networks_and_lines_by_dense_ones(key, digits):
    settings = BottleneckConfig(
        epochs=40, batch_size=32, sensor_width=16, weight_decay=0.01, **EPOCHS_ALONE
    )
    config = replace(FAST, bottleneck=settings, lp_bits=0)
    model = modes.fit(key, problem(digits, "quadrants"), "decision", 4, config)
    np.testing.assert_array_equal(model.sensor_bits, [1, 1, 1, 1])
    assert test_accuracy(bitalloc.from_bytes(bitalloc.to_bytes(model)), digits) > 0.6


@pytest.mark.slow
def test_a_mirrored_network_decides_alike_on_mirror_images(key):
    shape = (10, 8)
    init, _ = sensor_network(shape, 3, 4)
    network = encoder.NetworkEncoder(
        (init(key),), (0,), (3,), 4, (shape,), np.zeros(80), np.ones(80), "argmax", mirrored=True
    )
    images = np.random.default_rng(0).normal(size=(50, *shape))
    one_sensor = np.zeros(80, int)
    symbols, mirrored = (
        encoder.encode(network, x.reshape(50, 80), one_sensor) for x in (images, images[:, :, ::-1])
    )
    np.testing.assert_array_equal(symbols, mirrored)
    plain = network._replace(mirrored=False)
    assert (encoder.encode(plain, images.reshape(50, 80), one_sensor) != symbols).any()
