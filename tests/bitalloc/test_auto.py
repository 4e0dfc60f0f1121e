"""Mode `auto`: the best classifier at the sender, its class as a message, and its file."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
)

import bitalloc
from bitalloc import decoder as decoders
from bitalloc import inputs
from bitalloc.encoders import encoder as encoders
from bitalloc.encoders import scorers
from bitalloc.fitting import auto, class_codes, classifiers, precision
from bitalloc.fitting.fit import Sample
from bitalloc.model import Model
from fewbits.coding import FormatError, InputError

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(300, 6)).astype(np.float32).astype(np.float64)
THREE = (Z[:, 0] + Z[:, 1] ** 2 > 0.5).astype(int) + (Z[:, 2] > 0.8)
TWO = (THREE > 0).astype(int)
NO_NETWORKS = bitalloc.FitConfig(networks=False)


@pytest.fixture
def few(monkeypatch):
    """Three quick classifiers compete."""
    pool = {one.family: one for one in classifiers.candidates(200, 10)}
    chosen = [pool[name] for name in ("linear", "kernel", "tree")]
    monkeypatch.setattr(classifiers, "candidates", lambda *_: chosen)


def decoded(model, features, bits=None):
    return model.decode(model.encode(features, bits), len(features), bits)


@pytest.mark.parametrize("labels", [TWO, THREE])
@pytest.mark.parametrize("boosting", [GradientBoostingClassifier, HistGradientBoostingClassifier])
def test_boosted_trees_score_as_in_scikit_learn(labels, boosting, monkeypatch):
    few = boosting(random_state=0)
    few.set_params(**{"n_estimators" if "n_estimators" in few.get_params() else "max_iter": 8})
    module = "sklearn.ensemble." + boosting.__name__
    monkeypatch.setattr(module, lambda **_: few)
    run = {
        GradientBoostingClassifier: classifiers._boosted_exact,
        HistGradientBoostingClassifier: classifiers._boosted_histograms,
    }[boosting]
    more = (len(np.unique(labels)),) if boosting is GradientBoostingClassifier else ()
    ours = run(np.random.default_rng(0), Z, labels, *more)
    assert ours is not None
    expected = few.decision_function(Z)
    if expected.ndim == 1:
        expected = np.stack([np.zeros(len(Z)), expected], axis=1)
    np.testing.assert_allclose(scorers.scores(ours, Z), expected, atol=1e-4)


def test_a_forest_votes_as_in_scikit_learn(monkeypatch):
    forest = ExtraTreesClassifier(5, max_leaf_nodes=9, random_state=0)
    monkeypatch.setattr("sklearn.ensemble.ExtraTreesClassifier", lambda *_, **__: forest)
    ours = classifiers._forest(np.random.default_rng(0), Z, THREE, 3)
    counts = [tree.tree_ for tree in forest.estimators_]
    smoothed = []
    for tree in counts:
        leaf = tree.apply(Z.astype(np.float32))
        n = tree.weighted_n_node_samples[leaf][:, None]
        smoothed.append((tree.value[leaf, 0] * n + 1 / 3) / (n + 1))
    expected = np.log(np.maximum(np.mean(smoothed, axis=0), scorers.LEAST_PROBABILITY))
    np.testing.assert_allclose(scorers.scores(ours, Z), expected, atol=1e-5)


def test_an_oblivious_tree_answers_as_its_table():
    scorer = classifiers._oblivious(3)(np.random.default_rng(0), Z, THREE, 3)
    roots, right = scorers.layout(scorer.feature)
    assert roots.tolist() == [0]
    assert len(scorer.feature) == 15
    assert right[0] == 8
    depth = [0, 1, 2, 3, 3, 2, 3, 3, 1, 2, 3, 3, 2, 3, 3]
    for level in range(3):
        nodes = [i for i, d in enumerate(depth) if d == level]
        assert len(np.unique(scorer.feature[nodes])) == 1
        assert len(np.unique(scorer.threshold[nodes])) == 1
    answer = np.argmax(scorers.scores(scorer, Z), axis=1)
    first = {scorer.feature[0]: None, scorer.feature[1]: None, scorer.feature[2]: None}
    asked = [Z[:, scorer.feature[i]] > scorer.threshold[i] for i in (0, 1, 2)]
    cell = np.stack(asked, axis=1) @ np.array([4, 2, 1])
    assert len(first) >= 1
    for number in np.unique(cell):
        inside = cell == number
        common = np.bincount(THREE[inside], minlength=3)
        assert common[answer[inside][0]] == common.max()
        assert len(np.unique(answer[inside])) == 1


def test_incomplete_trees_are_no_trees():
    with pytest.raises(ValueError, match="not complete"):
        scorers.layout(np.array([0, -1]))


@pytest.mark.parametrize("n_classes", [2, 3, 5, 8, 11])
def test_codewords_are_distinct_and_prefixes_answer_what_is_commonest(n_classes):
    counts = RNG.integers(0, 4, (n_classes, n_classes)) + np.diag(RNG.integers(20, 60, n_classes))
    code = class_codes.nested_code(counts, np.arange(n_classes))
    length = len(code.answer) - 1
    assert length == (n_classes - 1).bit_length()
    assert len(set(code.code.tolist())) == n_classes
    assert list(code.right) == sorted(code.right)
    assert code.right[-1] == np.trace(counts)
    for bits in range(length + 1):
        group = code.code >> (length - bits)
        best = sum(counts[:, group == g].sum(axis=1).max() for g in np.unique(group))
        assert code.right[bits] == best
    # No 2^b classes could be answered rightly more often where no class is taken for another.
    clean = class_codes.nested_code(np.diag(np.diag(counts)), np.arange(n_classes))
    for bits in range(length + 1):
        assert clean.right[bits] == np.sort(np.diag(counts))[::-1][: 1 << bits].sum()


@pytest.fixture(scope="module")
def wine():
    """Two thirds fitted on, and the rest."""
    data = load_wine()
    order = np.random.default_rng(1).permutation(178)
    names = np.array(["Barolo", "Grignolino", "Barbera"])[data.target]
    model = bitalloc.fit(data.data[order[:120]], names[order[:120]], 8)
    return model, data.data[order[120:]], names[order[120:]]


def test_a_small_table_is_classified_from_two_bits(wine):
    """Pixel bits alone used to lose to trees here: 92.1 % at eight bits."""
    model, features, names = wine
    assert (model.mode, model.bits, model.padding_bits) == ("class", 8, 6)
    assert (model.n_train, model.n_validation) == (120, 120)
    assert model.estimate > 0.93
    received = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert len(received.encode(features)) == len(features)
    assert np.mean(decoded(received, features) == names) > 0.93
    np.testing.assert_array_equal(decoded(received, features), decoded(model, features))


def test_coarse_weights_change_few_decisions_on_other_examples():
    """Fitted examples lie far from the boundaries; others do not, and coarse weights move them."""
    rng = np.random.default_rng(3)
    others = rng.normal(size=(4_000, 50))
    weights, bias = rng.normal(size=(3, 50)).astype(np.float32), np.zeros(3, np.float32)
    sender = encoders.ClassEncoder(
        np.zeros(50), np.ones(50), (scorers.Linear(weights, bias),), np.ones(1),
        np.arange(3, dtype=np.int32), 2,
    )  # fmt: skip
    sensor = np.zeros(50, np.int32)
    answers = decoders.TableDecoder(np.array([0, 1, 2, 2], np.int32))
    model = Model("class", sensor, None, (0, 1, 2), sender, answers, 1, 1)
    scores = encoders.class_scores(sender, others, sensor)
    in_order = np.sort(scores, axis=1)
    fitted = others[in_order[:, 2] - in_order[:, 1] > 5.0]
    sample = Sample(fitted, np.asarray(model.decode(model.encode(fitted), len(fitted))))
    grids = (2, 3, 4, 6, 8, 12)

    def changed(rounded):
        found = encoders.class_scores(rounded.encoder, others, sensor)
        return np.mean(np.argmax(found, axis=1) != np.argmax(scores, axis=1))

    careless, _ = precision.choose(model, sample, sample, grids, 1.0)
    careful = precision.choose_by_margins(model, fitted, scores, grids)
    assert changed(careless) > 0.03
    assert 0.0 < changed(careful) < 0.015
    assert careless.precision < careful.precision < 12
    assert precision.choose_by_margins(model, fitted, scores, ()).precision is None


def test_one_model_serves_every_shorter_budget(wine):
    model, features, names = wine
    whole = np.unpackbits(np.frombuffer(model.encode(features), np.uint8)).reshape(-1, 8)
    for bits in range(1, 9):
        sent = np.unpackbits(np.frombuffer(model.encode(features, bits), np.uint8))
        np.testing.assert_array_equal(sent[: len(features) * bits].reshape(-1, bits),
                                      whole[:, :bits])  # fmt: skip
        right = np.mean(decoded(model, features, bits) == names)
        assert right > (0.6 if bits == 1 else 0.93)
    for bits in (0, 9, 1.5):
        with pytest.raises(InputError, match="messages have 8"):
            model.encode(features, bits)


def test_fewer_bits_than_a_class_needs_send_the_classes_known_best(few):
    data = load_digits(n_class=5)
    model = bitalloc.fit(data.data[:300], data.target[:300], 1)
    assert model.bits == 1
    found = decoded(model, data.data[300:])
    assert len(np.unique(found)) == 2
    assert np.mean(found == data.target[300:]) > 0.37  # of two fifths at most


@pytest.mark.parametrize(
    "family", ["linear", "kernel", "forest", pytest.param("boosted trees", marks=pytest.mark.slow)]
)
def test_every_part_survives_its_file(family, monkeypatch):
    pool = [one for one in classifiers.candidates(200, 50) if one.family == family][:2]
    monkeypatch.setattr(classifiers, "candidates", lambda *_: pool)
    wide = np.concatenate([Z, RNG.normal(size=(300, 44)) * 100 + 1e6], axis=1)
    wide[:, -1] = 3.0
    model = bitalloc.fit(wide[:80], THREE[:80], 3, config=NO_NETWORKS)
    data = bitalloc.to_bytes(model)
    read = bitalloc.from_bytes(data)
    assert bitalloc.to_bytes(read) == data
    np.testing.assert_array_equal(decoded(read, wide), decoded(model, wide))
    for cut in (len(data) // 3, len(data) - 2):
        with pytest.raises(FormatError):
            bitalloc.from_bytes(data[:cut])


def test_a_class_that_a_sample_lacks_is_never_chosen():
    labels = np.where(THREE == 1, 0, THREE)
    for one in classifiers.candidates(300, 6)[::5]:
        found = scorers.scores(classifiers.fit(one, 0, Z, labels, 3), Z)
        assert found.shape == (300, 3)
        assert not (np.argmax(found, axis=1) == 1).any()


def test_folds_spread_every_class():
    labels = np.repeat([0, 1, 2], [50, 7, 23])
    fold = inputs.stratified_folds(np.random.default_rng(0), labels, 5)
    for label in range(3):
        count = np.bincount(fold[labels == label], minlength=5)
        assert count.max() - count.min() <= 1
    assert np.ptp(np.bincount(fold)) <= 1


def test_the_criterion_is_that_of_the_best_temperature():
    logits = RNG.normal(size=(4000, 3)) * 2
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([RNG.choice(3, p=p) for p in probability])
    found = auto.value(8 * logits, labels)
    assert found.temperature == pytest.approx(1 / 8)
    assert found.mean == pytest.approx(auto.value(logits, labels).mean)


def test_columns_that_no_sensor_sees_change_nothing(few):
    seen = bitalloc.fit(Z, TWO, 1, sensors=[[0, 1, 2]], config=NO_NETWORKS)
    other = Z.copy()
    other[:, 3:] = RNG.normal(size=(300, 3))
    assert seen.encode(Z) == seen.encode(other)
    assert np.mean(decoded(seen, Z) == TWO) > 0.9


@pytest.mark.slow
def test_several_sensors_let_the_modes_compete():
    quick = bitalloc.FitConfig(
        smaller_budgets=False, restarts=0, swap_passes=0, networks=False, lp_bits=0,
        bottleneck=bitalloc.BottleneckConfig(min_steps=50, epochs=1),
    )  # fmt: skip
    model = bitalloc.fit(Z, TWO, 2, sensors="0-2/3-5", config=quick)
    assert model.mode in ("pixel", "projection")
    assert model.bits == 2 == model.sensor_bits.sum()


def test_values_whose_squares_overflow_are_classified_too(few):
    wild = np.where(RNG.random((300, 6)) < 0.01, 1e300, Z)
    wild[:, 0] = np.where(THREE > 1, 1e200, Z[:, 0])
    model = bitalloc.fit(wild, THREE > 1, 1)
    read = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert np.mean(decoded(read, wild) == (THREE > 1)) > 0.9
    assert len(decoded(read, np.full((3, 6), -1e308))) == 3


IMAGES = RNG.integers(0, 256, (80, 4, 4)).astype(np.uint8)
BRIGHT = IMAGES[:, 1, 2] > 128


@pytest.mark.parametrize(
    ("fitted", "sent"),
    [
        (IMAGES, IMAGES / 255),
        (IMAGES / 255, IMAGES),
        (IMAGES, (IMAGES / 255 - 0.5) / 0.3),
    ],
)
def test_another_unit_than_that_of_the_fit_is_refused(few, fitted, sent):
    """Images divided by 255 all looked dark to a model of 0 to 255."""
    model = bitalloc.fit(fitted, BRIGHT, 1, config=NO_NETWORKS)
    read = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert len(read.encode(fitted)) == 10
    with pytest.raises(InputError, match="unit of the fit"):
        read.encode(sent)


def test_a_batch_of_dark_images_is_no_other_unit(few):
    model = bitalloc.fit(IMAGES, BRIGHT, 1, config=NO_NETWORKS)
    assert len(model.encode(np.minimum(IMAGES, 1))) == 10
    assert len(model.encode(IMAGES.astype(float))) == 10


@pytest.mark.nightly
def test_colour_images_and_a_network_that_competes():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (1_100, 16, 16, 3)).astype(np.uint8)
    labels = images[:, 2, 3, 1] > 127
    settings = bitalloc.BottleneckConfig(sensor_width=4, min_steps=60, epochs=1, evaluations=2)
    config = bitalloc.FitConfig(bottleneck=settings)
    model = bitalloc.fit(images[:1_000], labels[:1_000], 1, config=config)
    read = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert np.mean(decoded(read, images[1_000:]) == labels[1_000:]) > 0.85


@pytest.mark.slow
def test_a_network_part_survives_its_file(monkeypatch):
    rng = np.random.default_rng(3)
    images = 0.1 * rng.normal(size=(1_000, 16, 16))
    images[:, [2, 5], [2, 5]] = rng.choice([-1.0, 1.0], size=(1_000, 2))
    labels = images[:, 2, 2] * images[:, 5, 5] > 0  # no single pixel tells
    pool = [one for one in classifiers.candidates(200, 50) if one.family == "linear"][:1]
    monkeypatch.setattr(classifiers, "candidates", lambda *_: pool)
    settings = bitalloc.BottleneckConfig(sensor_width=8, min_steps=1_500, evaluations=5)
    model = bitalloc.fit(images, labels, 2, config=bitalloc.FitConfig(bottleneck=settings),
                         key=jax.random.key(1))  # fmt: skip
    parts = model.encoder.parts
    assert type(parts[-1]).__name__ == "NetworkEncoder"
    data = bitalloc.to_bytes(model)
    assert bitalloc.to_bytes(bitalloc.from_bytes(data)) == data
    np.testing.assert_array_equal(
        decoded(bitalloc.from_bytes(data), images), decoded(model, images)
    )
