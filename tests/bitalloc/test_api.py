"""A user's arrays: shapes, labels, a validation part of one's own, and what a fit chooses there."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from sklearn.datasets import load_wine

import bitalloc
from bitalloc import api, inputs
from bitalloc.encoders import bottleneck, sensors
from bitalloc.encoders.sensor_network import sensor_network
from bitalloc.fitting import modes
from bitalloc.fitting.fit import Problem, Sample
from fewbits.coding import FormatError, InputError

QUICK = bitalloc.FitConfig(smaller_budgets=False, restarts=0, swap_passes=0, networks=False)
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(240, 5))
POSITIVE = TABLE[:, 3] > 0


def decoded(model, features):
    return bitalloc.decode(model, bitalloc.encode(model, features), len(features))


@pytest.mark.parametrize(
    "names",
    [
        np.array([3, -7]),
        np.array(["no", "yes"], object),
        np.array([False, True]),
        pytest.param(np.array([2.0, 5.0]), marks=pytest.mark.slow),
        pytest.param(np.array(["no", "yes"]), marks=pytest.mark.slow),
        pytest.param(np.array([0, 255], np.uint8), marks=pytest.mark.slow),
    ],
)
def test_labels_come_back_in_the_values_they_were_given_in(names):
    labels = names[POSITIVE.astype(int)]
    model = bitalloc.fit(TABLE, labels, 1, config=QUICK)
    read = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert read.classes == model.classes
    found = decoded(read, TABLE)
    assert found.dtype.kind == np.array(names.tolist()).dtype.kind
    assert np.mean(found == labels) > 0.95


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (POSITIVE + 0.5, "[.]5 is none"),
        (np.where(POSITIVE, np.nan, 1.0), "nan is none"),
        (POSITIVE[:, None], r"shape \(240, 1\)"),
        (np.full(240, 4), "one class only, 4"),
        (POSITIVE.astype(complex), "complex128"),
    ],
)
def test_labels_that_name_no_classes_are_refused(labels, said):
    with pytest.raises(InputError, match=said):
        bitalloc.fit(TABLE, labels, 1, config=QUICK)


def test_images_may_have_channels():
    images = RNG.integers(0, 256, (150, 6, 4, 3)).astype(np.uint8)
    labels = images[:, 4, 1, 2] > 128
    model = bitalloc.fit(images, labels, 1, mode="pixel", sensors="quadrants", config=QUICK)
    assert model.image_shape == (6, 4, 3)
    np.testing.assert_array_equal(model.encoder.feature, [(4 * 4 + 1) * 3 + 2])
    np.testing.assert_array_equal(model.sensor_bits, [0, 0, 1, 0])
    assert np.mean(decoded(model, images) == labels) > 0.95
    np.testing.assert_array_equal(decoded(model, images.reshape(150, -1)), decoded(model, images))
    with pytest.raises(InputError, match="6 x 4 x 3, these are 4 x 6 x 3"):
        bitalloc.encode(model, images.transpose(0, 2, 1, 3))
    with pytest.raises(InputError, match="channels come last"):
        bitalloc.fit(np.zeros((12, 3, 32, 32)), np.arange(12) % 2, 1)


@pytest.mark.slow
def test_channels_reach_networks_and_augmentation(key):
    images = RNG.normal(size=(4, 9, 8, 3))
    network = sensor_network((9, 8, 3), 2, 4)
    assert network.apply(network.init(key), images.reshape(4, -1)).shape == (4, 2)
    moved = bottleneck.augment(key, images, 1, flip=True)
    assert moved.shape == images.shape
    grey = np.broadcast_to(images[..., :1], images.shape)
    moved = np.asarray(bottleneck.augment(key, grey, 2, flip=True))
    np.testing.assert_array_equal(moved[..., 0], moved[..., 2])
    np.testing.assert_array_equal(
        moved[..., 0], bottleneck.augment(key, images[..., 0], 2, flip=True)
    )


def test_a_validation_part_of_ones_own_is_used_as_it_is():
    model = bitalloc.fit(
        TABLE[:200], POSITIVE[:200], 1, config=QUICK, validation=(TABLE[200:], POSITIVE[200:])
    )
    assert (model.n_train, model.n_validation) == (200, 40)
    with pytest.raises(InputError, match="label 2 is none of the 2"):
        bitalloc.fit(TABLE, POSITIVE, 1, validation=(TABLE[:3], np.array([0, 1, 2])))
    with pytest.raises(InputError, match="4 features, training 5"):
        bitalloc.fit(TABLE, POSITIVE, 1, validation=(TABLE[:, :4], POSITIVE))


def test_sensors_may_be_given_as_columns():
    groups = [[0, 1], [2, 3]]
    model = bitalloc.fit(TABLE, POSITIVE, 2, mode="pixel", sensors=groups, config=QUICK)
    np.testing.assert_array_equal(model.sensor_of, [0, 0, 1, 1, -1])
    assert model.sensor_bits.sum() == 2


def test_a_seed_cuts_as_numpy_does():
    one, other = api.generator(jax.random.key(7)), np.random.default_rng(7)
    np.testing.assert_array_equal(one.permutation(99), other.permutation(99))
    parts = inputs.cut(one, np.arange(60) % 3, (0.25, 0.1))
    assert [len(part) for part in parts] == [39, 15, 6]
    assert len(np.unique(np.concatenate(parts))) == 60


def wine_problem() -> Problem:
    data = load_wine()
    order = np.random.default_rng(0).permutation(len(data.target))
    features, labels = data.data[order], data.target[order].astype(np.int32)
    samples = [Sample(features[a:b], labels[a:b]) for a, b in ((0, 90), (90, 115))]
    return Problem(*samples, sensors.central(13), None, (0, 1, 2))


@pytest.mark.slow
def test_a_small_table_is_trained_for_enough_steps(key):
    """With epochs alone 90 rows got 20 steps: two bits hardly told anything."""
    problem = wine_problem()
    test = load_wine()
    config = bitalloc.FitConfig(smaller_budgets=False)
    model = modes.fit(key, problem, "projection", 3, config)
    right = np.mean(decoded(model, test.data) == test.target)
    assert right > 0.95
    assert bottleneck.n_steps(bitalloc.BottleneckConfig(), 90) == 2000
    assert bottleneck.n_steps(bitalloc.BottleneckConfig(), 60_000) == 20 * (60_000 // 128)


@pytest.mark.slow
def test_validation_decides_when_a_training_stops(key):
    """Pure noise: what is learned later is worth less, and the first parameters are returned."""
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(60, 20)), rng.integers(0, 2, 60)
    held = (rng.normal(size=(400, 20)), rng.integers(0, 2, 400))
    views = [(np.arange(20), (20,))]
    config = bitalloc.BottleneckConfig(min_steps=300, epochs=1, evaluations=10, receiver_width=8)
    losses = []
    for evaluations in (10, 0):
        trained, scaling = bottleneck.train(
            key, replace(config, evaluations=evaluations), features, labels, views, (3,), 2, None,
            validation=held,
        )  # fmt: skip
        _, _, scores = bottleneck.build(config, views, (3,), 2, None, *scaling, 300)
        found = np.asarray(scores(trained, np.asarray(held[0], np.float32)))
        losses.append(np.mean(np.argmax(found, axis=1) != held[1]))
    assert losses[0] <= losses[1]


@pytest.mark.slow
def test_validation_accuracy_never_falls_with_the_budget(key):
    """Few rows and many useless columns, so that most budgets overfit."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(90, 12))
    labels = (features[:, 0] + rng.normal(size=90) > 0).astype(np.int32)
    problem = Problem(
        Sample(features[:50], labels[:50]),
        Sample(features[50:], labels[50:]),
        sensors.central(12),
        None,
        (0, 1),
    )
    alone, best = [], []
    budgets = (1, 2, 3, 4, 6)
    for bits in budgets:
        for config, found in ((QUICK, alone), (replace(QUICK, smaller_budgets=True), best)):
            model = modes.fit(key, problem, "pixel", bits, config)
            assert model.bits == bits == model.sensor_bits.sum()
            found.append(np.mean(decoded(model, features[50:]) == labels[50:]))
    assert min(np.diff(alone)) < 0  # or the test shows nothing
    assert min(np.diff(best)) >= 0
    assert all(b >= a for a, b in zip(alone, best, strict=True))


def test_padded_messages_have_exactly_the_budget():
    model = bitalloc.fit(TABLE, POSITIVE, 1, config=QUICK)._replace(padding_bits=10)
    read = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert read.bits == 11
    data = bitalloc.encode(read, TABLE[:16])
    assert len(data) == 22
    np.testing.assert_array_equal(decoded(read, TABLE), decoded(model, TABLE))
    with pytest.raises(FormatError):
        bitalloc.from_bytes(bitalloc.to_bytes(model._replace(padding_bits=1 << 40)))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["projection", "decision"])
def test_models_are_coded_with_as_few_bits_as_decide_alike(key, mode):
    problem = wine_problem()
    settings = bitalloc.BottleneckConfig(
        min_steps=300, sensor_width=16 if mode == "decision" else 0
    )
    config = bitalloc.FitConfig(smaller_budgets=False, bottleneck=settings)
    plain = modes.fit(key, problem, mode, 4, replace(config, precisions=()))
    coded = modes.fit(key, problem, mode, 4, config)
    assert plain.precision is None
    assert coded.precision in config.precisions
    data = bitalloc.to_bytes(coded)
    assert len(data) < 0.8 * len(bitalloc.to_bytes(plain))
    assert bitalloc.to_bytes(bitalloc.from_bytes(data)) == data
    held = problem.validation

    def right(model):
        return np.mean(decoded(model, held.features) == held.labels)

    assert right(bitalloc.from_bytes(data)) >= right(plain)
    np.testing.assert_array_equal(
        decoded(bitalloc.from_bytes(data), held.features), decoded(coded, held.features)
    )


@pytest.mark.slow
@pytest.mark.parametrize("view", ["0-2/3-5", "3-5/0-2"])
def test_one_bit_goes_to_the_sensor_that_knows(view):
    """One thousand rows used to be trained for 140 steps, and the first sensor had the bit."""
    features = np.random.default_rng(3).normal(size=(1500, 6))
    labels = features[:, 0] > 0
    model = bitalloc.fit(features[:1000], labels[:1000], 1, mode="projection", sensors=view)
    assert np.mean(decoded(model, features[1000:]) == labels[1000:]) > 0.97
