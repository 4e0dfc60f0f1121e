"""Nested pixel messages: one model, one order of bits, a decoder for every length."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

import bitalloc
from bitalloc import decoder
from bitalloc.commands import main
from bitalloc.fitting import classifiers, modes, nested_pixels, proposals, selection
from bitalloc.fitting.fit import Problem, Sample
from fewbits.coding import InputError

QUICK = bitalloc.FitConfig(restarts=0, networks=False)


@pytest.fixture(scope="module")
def digits():
    data = load_digits(n_class=4)
    return data.images.astype(np.uint8), data.target


@pytest.fixture(scope="module")
def model(digits):
    images, labels = digits
    return bitalloc.fit(
        images[:300], labels[:300], 6, mode="pixel", nested=True, sensors="quadrants",
        config=QUICK,
    )  # fmt: skip


def test_every_prefix_is_a_message_and_longer_ones_say_more(model, digits):
    images, labels = digits[0][300:], digits[1][300:]
    assert model.bits == 6 == model.sensor_bits.sum()
    read = bitalloc.from_bytes(bitalloc.to_bytes(model))
    assert bitalloc.to_bytes(read) == bitalloc.to_bytes(model)
    whole = np.unpackbits(np.frombuffer(read.encode(images), np.uint8))
    whole = whole[: 6 * len(images)].reshape(-1, 6)
    right = []
    for bits in range(1, 7):
        sent = read.encode(images, bits)
        assert len(sent) == -(-bits * len(images) // 8)
        first = np.unpackbits(np.frombuffer(sent, np.uint8))[: bits * len(images)]
        np.testing.assert_array_equal(first.reshape(-1, bits), whole[:, :bits])
        found = read.decode(sent, len(images), bits)
        np.testing.assert_array_equal(found, model.decode(sent, len(images), bits))
        right.append(np.mean(found == labels))
    assert right[0] > 0.4
    assert right[3] > 0.75
    assert right[-1] > 0.78


@pytest.mark.slow
def test_validation_accuracy_never_falls_with_the_prefix(key, digits):
    images, labels = digits
    flat = images.reshape(len(images), -1)
    parts = [Sample(flat[a:b], labels[a:b]) for a, b in ((0, 150), (150, 250))]
    view = np.zeros(64, np.int32)
    problem = Problem(*parts, view, (8, 8), (0, 1, 2, 3))
    model = nested_pixels.fit(key, problem, 10, QUICK)
    held = problem.validation
    right = [
        np.mean(model.decode(model.encode(held.features, b), len(held.labels), b) == held.labels)
        for b in range(1, 11)
    ]
    assert min(np.diff(right)) >= 0


def test_a_model_that_is_not_nested_says_so(key, digits):
    images, labels = digits
    flat = images.reshape(len(images), -1)
    sample = Sample(flat, labels)
    problem = Problem(sample, sample, np.zeros(64, np.int32), None, (0, 1, 2, 3))
    bits = [(3, 2), (20, 5), (42, 8)]
    found = selection.find_levels(flat, selection.candidate_thresholds(flat, 17))
    pixels = proposals.pixel_encoder(found.thresholds, tuple(bits))
    table = decoder.fit_table(selection.bit_columns(found, bits), labels, np.ones(3, int), 4)
    model = bitalloc.Model("pixel", problem.sensor_of, None, (0, 1, 2, 3), pixels, table, 9, 9, 2)
    assert len(model.encode(flat[:8], 3)) == len(model.encode(flat[:8], 4)) - 1
    with pytest.raises(InputError, match="nested=True"):
        model.encode(flat, 2)
    with pytest.raises(InputError, match="no nested messages"):
        bitalloc.fit(images, labels, 3, mode="projection", nested=True)
    with pytest.raises(InputError, match="exceeds"):
        modes.fit(key, problem, "pixel", 5_000, QUICK, nested=True)


def test_the_least_important_bit_comes_last():
    """One bit repeats another, one is noise: neither may come before the two that tell."""
    rng = np.random.default_rng(0)
    features = rng.integers(0, 2, (400, 4)).astype(float)
    features[:, 1] = features[:, 0]
    labels = (2 * features[:, 0] + features[:, 3]).astype(int)
    found = selection.find_levels(features, selection.candidate_thresholds(features, 3))
    bits = [(2, 0), (1, 0), (0, 0), (3, 0)]
    order = selection.importance_order(found, labels, 4, bits)
    assert {order[0][0], order[1][0]} in ({0, 3}, {1, 3})
    longer = selection.extend_for_table(found, labels, 4, [(2, 0)], 3)
    assert longer[0] == (2, 0)
    assert {bit[0] for bit in longer[1:]} in ({0, 3}, {1, 3})


def test_the_command_line_sends_and_reads_shorter_messages(tmp_path, digits, capsys, monkeypatch):
    images, labels = digits
    linear = classifiers.candidates(200, 10)[1:2]
    monkeypatch.setattr(classifiers, "candidates", lambda *_: linear)
    np.savez(tmp_path / "in.npz", images=images[:400], labels=labels[:400])
    np.savez(tmp_path / "new.npz", images=images[400:])
    model, sent, out = (str(tmp_path / name) for name in ("model", "sent", "out.npz"))
    fit = ["fit", str(tmp_path / "in.npz"), model, "--bits", "4", "--no-networks", "--json"]
    assert main(fit) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mode"] == "class"
    assert said["shorter_messages"] == [1]
    assert main(["encode", model, str(tmp_path / "new.npz"), sent, "--bits", "1"]) == 0
    assert "messages of 1 bits" in capsys.readouterr().out
    assert main(["decode", model, sent, out]) == 0
    with np.load(out) as found:
        assert np.mean(found["labels"] == labels[400:]) > 0.4
    capsys.readouterr()
    assert main(["encode", model, str(tmp_path / "new.npz"), out, "--bits", "5", "--force"]) == 2
    assert "5 bits of a message: the model's messages have 4" in capsys.readouterr().err


@pytest.mark.slow
def test_nested_fits_are_the_same_twice(digits):
    images, labels = digits
    fits = [
        bitalloc.to_bytes(
            bitalloc.fit(images[:150], labels[:150], 3, mode="pixel", nested=True, config=QUICK,
                         key=jax.random.key(5))
        )
        for _ in range(2)
    ]  # fmt: skip
    assert fits[0] == fits[1]
