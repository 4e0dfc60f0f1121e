"""The main job's rows for bit allocation: a digit from eight bits, by pixels or projections."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

import bitalloc
from bitalloc import message_file
from experiments.bit_allocation.bitalloc_data import EPOCHS_ALONE, RECORDED
from experiments.digits.row import Job, Picture, Row, picture
from experiments.runner import plots, subprocesses
from fewbits.coding import container
from fewbits.io.progress import Bar

_BITS = 8
_RESTARTS = 2
_EPOCHS = 40


def rows(job: Job, bar: Bar) -> tuple[list[Row], list[Picture]]:
    """Eight bits an image: of single pixels, and of linear functionals."""
    baseline, found, pictures = _random_pixels(job), [], []
    for number, mode in enumerate(("pixel", "projection")):
        bar(f"fitting {mode} bits", number, 2)
        bottleneck = bitalloc.BottleneckConfig(
            epochs=max(2, round(_EPOCHS * job.effort)), **EPOCHS_ALONE
        )
        config = replace(RECORDED, restarts=round(_RESTARTS * job.effort), bottleneck=bottleneck)
        model = bitalloc.fit(
            job.train.pixels, job.train.labels, _BITS, mode=mode, config=config,
            key=jax.random.key(job.seed),
        )  # fmt: skip
        if mode == "pixel":
            pictures.append(_chosen(job, model))
        model_path, path = job.path(f"{mode}.fwb"), job.path(f"{mode}_messages.fwb")
        container.save(model_path, bitalloc.to_bytes(model))
        payload, count = bitalloc.encode(model, job.test.pixels), len(job.test.labels)
        model_bytes = container.load_bytes(model_path)
        container.save(path, message_file.write_messages(model_bytes, payload, count))
        decoded = subprocesses.call(_decoded, model_path, path)
        percent = 100 * float(np.mean(decoded == job.test.labels))
        title, against = f"bit allocation, {mode}s", f"{_BITS} random pixels, one bit each"
        bits = 8 * len(payload) / count
        row = job.row(title, path, percent, baseline, against)
        found.append(row._replace(bits_per_image=bits))
    bar("fitting projection bits", 2, 2)
    return found, pictures


def _decoded(model_path: Path, path: Path) -> np.ndarray:
    model_bytes = container.load_bytes(model_path)
    payload, count, _ = message_file.read_messages(container.load_bytes(path), model_bytes)
    return np.asarray(bitalloc.decode(bitalloc.from_bytes(model_bytes), payload, count))


def _random_pixels(job: Job) -> float:
    """Accuracy of a table over random pixels that are not constant, cut at their medians."""
    train, test = (part.pixels.reshape(len(part.labels), -1) for part in (job.train, job.test))
    varied = np.flatnonzero(train.std(axis=0) > 0)
    chosen = np.random.default_rng(job.seed).choice(varied, _BITS, replace=False)
    cut = np.median(train[:, chosen], axis=0)
    messages, seen = ((part[:, chosen] > cut) @ (1 << np.arange(_BITS)) for part in (train, test))
    counts = np.zeros((1 << _BITS, len(job.train.label_names)), int)
    np.add.at(counts, (messages, job.train.labels), 1)
    return 100 * float(np.mean(counts.argmax(axis=1)[seen] == job.test.labels))


def _chosen(job: Job, model: bitalloc.Model) -> Picture:
    depth = np.zeros(job.train.pixels[0].size, np.int64)
    np.add.at(depth, model.encoder.feature, model.encoder.depth_bits)  # type: ignore
    figure, (axis,) = plots.subplots(width=3.0, height=2.8)
    axis.imshow(depth.reshape(job.side), cmap="Blues")
    axis.grid(False)
    axis.set(title="bits per pixel", xticks=[], yticks=[])
    return picture(f"The {np.count_nonzero(depth)} pixels that {_BITS} bits are spent on.", figure)
