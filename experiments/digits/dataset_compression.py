"""The main job's rows for latent Gaussian compression and for plain subsets."""

from dataclasses import replace

import jax
import numpy as np

import lgc
from experiments.common import decoded_sets
from experiments.digits.row import Job, Picture, Row, picture
from experiments.runner import plots
from fewbits.coding import container
from fewbits.io.progress import Bar
from fewbits.training import downstream
from lgc.coresets import lossless_subset

_EPOCHS = 150
_COMPRESSION = lgc.Config(
    hidden=64, latent=16, batch_size=64, learning_rate=2e-3, max_components=3, bits=6
)
_PER_CLASS = 400


def rows(job: Job, bar: Bar) -> tuple[list[Row], list[Picture]]:
    """All images losslessly, the archive, and the subset of the archive's bytes."""
    images, labels = job.train.pixels, job.train.labels
    config = replace(_COMPRESSION, epochs=max(1, round(_EPOCHS * job.effort)))
    key = jax.random.key(job.seed)
    archive = job.path("archive.lgc")
    container.save(archive, lgc.compress(images, labels, config=config, key=key, progress=bar))
    whole, subset = job.path("all.bin"), job.path("subset.bin")
    container.save(whole, lossless_subset.write(images, labels))
    size = archive.stat().st_size
    content, count = lossless_subset.largest(images, labels, size, job.seed)
    container.save(subset, content)

    decoded = decoded_sets.from_archive(archive, _PER_CLASS, job.seed)
    drawn = len(decoded[1])
    outcome = downstream.train(
        job.classifier,
        [
            decoded_sets.from_subset(whole, drawn, job.seed),
            downstream.to_size(*decoded, drawn, job.seed),
            decoded_sets.from_subset(subset, drawn, job.seed),
        ],
        job.test,
        seeds=(job.seed,),
        runs_per_chunk=3,
        progress=lambda done, total: bar("training classifiers", done, total),
    )
    all_percent, ours, few = (100 * float(share) for share in outcome.accuracy[:, 0])
    baseline = f"{count} random images, lossless, in {len(content):,} bytes"
    return [
        job.row("all images, lossless", whole, all_percent),
        job.row("latent Gaussian compression", archive, ours, few, baseline),
    ], [_samples(job, decoded[0])]


def _samples(job: Job, decoded: np.ndarray) -> Picture:
    order = np.argsort(job.train.labels, kind="stable")
    originals = job.train.pixels[order][:: len(order) // 20]
    drawn = decoded[:: len(decoded) // 20]
    figure = plots.image_grid([("training images", originals), ("decoded", drawn)])
    return picture("What was compressed, and what a subprocess drew from the archive.", figure)
