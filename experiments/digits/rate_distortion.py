"""The main job's row for rate-distortion: all images, quantised in pairs of pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.common import downstream
from experiments.common.downstream import StudentConfig
from experiments.digits.row import Job, Picture, Row
from experiments.runner import plots, subprocesses
from fewbits.coding import container
from fewbits.io.progress import Bar
from lgc.coresets import lossless_subset
from ratedist.codes import code_file, design
from ratedist.solvers import rounded_source

_DISTORTION = 900.0
"""Mean squared error of a pixel, of 0 to 255."""
_PAIR = 2
_GROUPS = 512
_STUDENT = StudentConfig(steps=3_000, batch_size=64, learning_rate=2e-3)


def rows(job: Job, bar: Bar) -> list[Row]:
    """The images as an entropy-coded vector code of pixel pairs, and the subset of its bytes."""
    bar("fitting the code", 0, 2)
    pixels = job.train.pixels.astype(np.float64)
    code = design.vector(pixels.ravel(), _DISTORTION, _PAIR, job.seed)
    path = job.run.artifacts / "digits_quantised.fwb"
    container.save(path, code_file.write(code._replace(shape=pixels.shape)))
    out = path.with_suffix(".npz")
    subprocesses.python("ratedist", ["decode", path, out])
    with np.load(out) as stored:
        decoded = stored["values"]
    out.unlink()
    size = path.stat().st_size
    part, count = lossless_subset.largest(job.train.pixels, job.train.labels, size, job.seed)

    bar("training classifiers", 1, 2)
    images = np.clip(np.rint(decoded), 0, 255).astype(np.uint8)
    few = lossless_subset.read(part)
    sets = [
        downstream.to_size(*one, len(job.train.labels), job.seed)
        for one in ((images, job.train.labels), few)
    ]
    student = replace(_STUDENT, steps=max(50, round(_STUDENT.steps * job.effort)))
    outcome = downstream.train(student, sets, job.test, seeds=(job.seed,), runs_per_chunk=2)
    ours_percent, few_percent = (100 * float(a) for a in outcome.accuracy[:, 0])
    bar("training classifiers", 2, 2)
    return [
        Row(
            "quantised pixel pairs (labels not counted)",
            size,
            8 * size / len(job.train.labels),
            ours_percent,
            few_percent,
            f"{count} random images, lossless, with labels, in {len(part):,} bytes",
            (_drawn(job, pixels, decoded, size),),
        )
    ]


def _drawn(job: Job, pixels: np.ndarray, decoded: np.ndarray, size: int) -> Picture:
    error = float(((decoded - pixels) ** 2).mean())
    pairs = rounded_source.round_samples(pixels.reshape(-1, _PAIR), _GROUPS)
    bound = rounded_source.bound(pairs, _PAIR * error).rate_bits / _PAIR
    order = np.argsort(job.train.labels, kind="stable")[:: len(pixels) // 20]
    drawn = np.clip(np.rint(decoded), 0, 255).astype(np.uint8)
    figure = plots.image_grid(
        [("training images", job.train.pixels[order]), ("decoded", drawn[order])]
    )
    caption = (
        f"{8 * size / pixels.size:.3f} bits a pixel at a mean squared error of {error:.0f}; coding "
        f"pairs without memory takes at least {bound:.3f}, certified."
    )
    return Picture(caption, figure)
