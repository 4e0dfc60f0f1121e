"""The main job's rows for latent Gaussian compression and for plain subsets."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

import lgc
from experiments.common import downstream
from experiments.common.downstream import StudentConfig
from experiments.digits.row import Job, Picture, Row
from experiments.runner import plots, subprocesses
from fewbits.coding import account, container
from fewbits.io.progress import Bar
from lgc.coresets import lossless_subset

_COMPRESSION = lgc.Config(
    hidden=64, latent=16, epochs=150, batch_size=64, learning_rate=2e-3, max_components=3, bits=6
)
_STUDENT = StudentConfig(steps=3_000, batch_size=64, learning_rate=2e-3)
_PER_CLASS = 400


def rows(job: Job, bar: Bar) -> list[Row]:
    """All images losslessly, the archive, and the subset of the archive's bytes."""
    epochs = max(1, round(_COMPRESSION.epochs * job.effort))
    config = lgc.Config(**{**_COMPRESSION.__dict__, "epochs": epochs})
    data = lgc.compress(
        job.train.pixels,
        job.train.labels,
        config=config,
        key=jax.random.key(job.seed),
        progress=bar,
    )
    archive_path = job.run.artifacts / "digits.lgc"
    container.save(archive_path, data)
    decoded = _decode("lgc", archive_path, "--per-class", str(_PER_CLASS), "--seed", str(job.seed))

    everything = job.run.artifacts / "digits_all.bin"
    container.save(everything, lossless_subset.write(job.train.pixels, job.train.labels))
    part, count = lossless_subset.largest(job.train.pixels, job.train.labels, len(data), job.seed)
    part_path = job.run.artifacts / "digits_subset.bin"
    container.save(part_path, part)

    size = len(decoded[1])
    whole, few = (
        _decode("lgc.coresets.lossless_subset", everything),
        _decode("lgc.coresets.lossless_subset", part_path),
    )
    sets = [downstream.to_size(*images, size, job.seed) for images in (whole, decoded, few)]
    student = StudentConfig(
        **{**_STUDENT.__dict__, "steps": max(50, round(_STUDENT.steps * job.effort))}
    )
    outcome = downstream.train(
        student,
        sets,
        job.test,
        seeds=(job.seed,),
        runs_per_chunk=3,
        progress=lambda done, total: bar("training classifiers", done, total),
    )
    all_percent, ours_percent, few_percent = (100 * float(a) for a in outcome.accuracy[:, 0])
    images = len(job.train.labels)

    def bits(path: Path) -> float:
        return 8 * path.stat().st_size / images

    return [
        Row(
            "all images, lossless",
            everything.stat().st_size,
            bits(everything),
            all_percent,
            None,
            "",
        ),
        Row(
            "latent Gaussian compression",
            archive_path.stat().st_size,
            bits(archive_path),
            ours_percent,
            few_percent,
            f"{count} random images, lossless, in {part_path.stat().st_size:,} bytes",
            (
                _samples(job, decoded),
                _account(archive_path),
                _confusion(job, np.asarray(outcome.predictions[1, 0])),
            ),
        ),
    ]


def _decode(module: str, path: Path, *flags: str) -> tuple[np.ndarray, np.ndarray]:
    out = path.with_suffix(".npz")
    subprocesses.python(module, ["decompress", path, out, *flags])
    with np.load(out) as decoded:
        images, labels = decoded["images"], decoded["labels"]
    out.unlink()
    return images, labels


def _samples(job: Job, decoded: tuple[np.ndarray, np.ndarray]) -> Picture:
    order = np.argsort(job.train.labels, kind="stable")
    originals = job.train.pixels[order][:: len(order) // 20]
    drawn = decoded[0][:: len(decoded[0]) // 20]
    figure = plots.image_grid([("training images", originals), ("decoded", drawn)])
    return Picture("What was compressed, and what a fresh process drew from the archive.", figure)


def _account(path: Path) -> Picture:
    figure, (axis,) = plots.subplots(width=6.5, height=3.4)
    rows = account(path)
    names = [row.part.removeprefix("section model_symbols: ") for row in rows]
    axis.barh(names, [row.size_bytes for row in rows], color=plots.OURS)
    axis.invert_yaxis()
    axis.set(xlabel="bytes")
    size = path.stat().st_size
    return Picture(f"Every byte of the archive; the bars add up to its {size:,} bytes.", figure)


def _confusion(job: Job, predictions: np.ndarray) -> Picture:
    count = len(job.test.label_names)
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (job.test.labels, predictions), 1)
    figure, (axis,) = plots.subplots(width=4.2, height=3.8)
    axis.imshow(matrix, cmap="Blues")
    axis.grid(False)
    for row, column in np.argwhere(matrix):
        shade = "white" if matrix[row, column] > matrix.max() / 2 else "black"
        axis.text(
            column, row, matrix[row, column], ha="center", va="center", fontsize=7, color=shade
        )
    ticks = range(count)
    axis.set(xlabel="predicted", ylabel="true", xticks=ticks, yticks=ticks)
    return Picture("Test images, by a classifier that saw decoded images only.", figure)
