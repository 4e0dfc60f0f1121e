"""The main job's row for rate-distortion: all images, quantised in pairs of pixels."""

import numpy as np

import ratedist
from experiments.common import decoded_sets
from experiments.digits.row import Job, Picture, Row, picture
from experiments.runner import plots, subprocesses
from fewbits.coding import container
from fewbits.io.progress import Bar
from fewbits.training import downstream
from lgc.coresets import lossless_subset
from ratedist.solvers import rounded_source

_DISTORTION = 900.0
"""Mean squared error of a pixel, of 0 to 255."""
_PAIR = 2
_GROUPS = 512


def rows(job: Job, bar: Bar) -> tuple[list[Row], list[Picture]]:
    """The images as an entropy-coded vector code of pixel pairs, and the subset of its bytes."""
    images, labels = job.train.pixels, job.train.labels
    bar("fitting the code", 0, 2)
    path, subset = job.path("quantised.fwb"), job.path("quantised_subset.bin")
    container.save(path, ratedist.encode(images, _DISTORTION, dimension=_PAIR))
    decoded = subprocesses.call(ratedist.decode, container.load_bytes(path))
    content, count = lossless_subset.largest(images, labels, path.stat().st_size, job.seed)
    container.save(subset, content)

    bar("training classifiers", 1, 2)
    rounded = np.clip(np.rint(decoded), 0, 255).astype(np.uint8)
    sets = [
        downstream.to_size(rounded, labels, len(labels), job.seed),
        decoded_sets.from_subset(subset, len(labels), job.seed),
    ]
    outcome = downstream.train(job.classifier, sets, job.test, seeds=(job.seed,), runs_per_chunk=2)
    ours, few = (100 * float(share) for share in outcome.accuracy[:, 0])
    bar("training classifiers", 2, 2)
    title = "quantised pixel pairs (labels not counted)"
    baseline = f"{count} random images, lossless, with labels, in {len(content):,} bytes"
    drawn = _drawn(job, decoded, rounded, path.stat().st_size)
    return [job.row(title, path, ours, few, baseline)], [drawn]


def _drawn(job: Job, decoded: np.ndarray, rounded: np.ndarray, size: int) -> Picture:
    pixels = job.train.pixels.astype(np.float64)
    error = float(((decoded - pixels) ** 2).mean())
    pairs = rounded_source.round_samples(pixels.reshape(-1, _PAIR), _GROUPS)
    bound = rounded_source.bound(pairs, _PAIR * error).rate_bits / _PAIR
    order = np.argsort(job.train.labels, kind="stable")[:: len(pixels) // 20]
    figure = plots.image_grid(
        [("training images", job.train.pixels[order]), ("decoded", rounded[order])]
    )
    caption = (
        f"{8 * size / pixels.size:.3f} bits a pixel at a mean squared error of {error:.0f}; coding "
        f"pairs without memory takes at least {bound:.3f}, certified."
    )
    return picture(caption, figure)
