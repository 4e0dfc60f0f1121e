"""The main job's row for bit allocation: a digit from eight bits, by pixels or projections."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

import bitalloc
from bitalloc import files, messages
from bitalloc.decoder import cell_counts, message_number
from bitalloc.encoders import encoder as encoders
from bitalloc.encoders import sensors
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.fitting import modes
from bitalloc.fitting.fit import Problem, Sample
from experiments.bit_allocation.bitalloc_data import EPOCHS_ALONE, RECORDED
from experiments.digits.row import Job, Picture, Row
from experiments.runner import plots, subprocesses
from fewbits.coding import container
from fewbits.io.progress import Bar

_BITS = 8
_HELD_OUT = 300
_RESTARTS = 2
_EPOCHS = 40


def rows(job: Job, bar: Bar) -> list[Row]:
    """Eight bits an image: of single pixels, and of linear functionals."""
    baseline = _random_pixels(job)
    found = []
    for number, mode in enumerate(("pixel", "projection")):
        bar(f"fitting {mode} bits", number, 2)
        found.append(_row(job, mode, baseline))
    bar("fitting projection bits", 2, 2)
    return found


def _row(job: Job, mode: str, baseline: float) -> Row:
    epochs = max(2, round(_EPOCHS * job.effort))
    config = replace(
        RECORDED,
        restarts=max(0, round(_RESTARTS * job.effort)),
        bottleneck=BottleneckConfig(epochs=epochs, **EPOCHS_ALONE),
    )
    model = modes.fit(jax.random.key(job.seed), _problem(job), mode, _BITS, config)
    model_path = job.run.artifacts / f"digits_{mode}.fwb"
    container.save(model_path, bitalloc.to_bytes(model))
    model_bytes = container.load_bytes(model_path)
    path = job.run.artifacts / f"digits_{mode}_messages.fwb"
    payload = bitalloc.encode(bitalloc.from_bytes(model_bytes), _features(job.test.pixels))
    count = len(job.test.labels)
    container.save(path, files.write_messages(model_bytes, payload, count))
    out = path.with_suffix(".npz")
    subprocesses.python("bitalloc", ["decode", model_path, path, out])
    with np.load(out) as decoded:
        percent = 100 * float(np.mean(decoded["labels"] == job.test.labels))
    out.unlink()
    size = path.stat().st_size
    pictures = (_chosen(job, model),) if isinstance(model.encoder, encoders.PixelEncoder) else ()
    return Row(
        f"bit allocation, {mode}s",
        size,
        8 * len(payload) / count,
        percent,
        baseline,
        f"{_BITS} random pixels, one bit each",
        pictures,
    )


def _features(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(len(pixels), -1)


def _problem(job: Job) -> Problem:
    order = np.random.default_rng(job.seed).permutation(len(job.train.labels))
    held, rest = order[:_HELD_OUT], order[_HELD_OUT:]
    train, validation = (
        Sample(_features(job.train.pixels[part]), job.train.labels[part]) for part in (rest, held)
    )
    side = job.train.pixels.shape[1:3]
    n_features = train.features.shape[1]
    classes = tuple(range(len(job.train.label_names)))
    return Problem(train, validation, sensors.central(n_features), side, classes)


def _random_pixels(job: Job) -> float:
    """Accuracy of a table over random pixels that are not constant, cut at their medians."""
    features, test = _features(job.train.pixels), _features(job.test.pixels)
    varied = np.flatnonzero(features.std(axis=0) > 0)
    chosen = np.random.default_rng(job.seed).choice(varied, _BITS, replace=False)
    cut = np.median(features[:, chosen], axis=0)
    depth = np.ones(_BITS, np.int64)

    def numbers(values: np.ndarray) -> np.ndarray:
        symbols = (values[:, chosen] > cut).astype(np.int64)
        packed = messages.pack(symbols, depth)
        return message_number(messages.unpack(packed, len(values), depth), depth)

    classes = len(job.train.label_names)
    counts = cell_counts(numbers(features), job.train.labels, 1 << _BITS, classes)
    return 100 * float(np.mean(counts.argmax(axis=1)[numbers(test)] == job.test.labels))


def _chosen(job: Job, model: bitalloc.Model) -> Picture:
    encoder = model.encoder
    assert isinstance(encoder, encoders.PixelEncoder)
    depth = np.zeros(job.train.pixels[0].size, np.int64)
    np.add.at(depth, encoder.feature, encoder.depth_bits)
    side = job.train.pixels.shape[1:3]
    figure, (left, right) = plots.subplots(2, width=3.0, height=2.8)
    left.imshow(job.train.pixels.mean(axis=0).reshape(side), cmap="gray_r")
    left.set(title="mean digit")
    right.imshow(depth.reshape(side), cmap="Blues")
    right.set(title="bits per pixel")
    for axis in (left, right):
        axis.grid(False)
        axis.set(xticks=[], yticks=[])
    caption = f"The {np.count_nonzero(depth)} pixels that {_BITS} bits are spent on."
    return Picture(caption, figure)
