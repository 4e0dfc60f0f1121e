"""The main job's row for a pruned network, beside a dense one of as many bytes."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.common import decoded_networks
from experiments.digits.row import Job, Picture, Row, picture
from experiments.runner import plots
from fewbits.coding import container
from fewbits.io.datasets import Images, split_validation
from fewbits.io.progress import Bar
from fewbits.training import networks
from fewbits.training.networks import Network
from pruning.search import _prune
from pruning.search.operating_points import Settings
from pruning.search.selection import Goal

_HIDDEN, _BUDGET_BYTES = 20, 230
"""Of 230, 330, 480 and 650 bytes, that of the largest gain on training images by other writers,
over two seeds that the main job does not use."""
_VALIDATION_IMAGES = 300
_STEPS, _FINE_TUNE_STEPS = 3_000, 1_500


def rows(job: Job, bar: Bar) -> tuple[list[Row], list[Picture]]:
    """A network trained and pruned into a file, and the dense network that its bytes would buy."""
    parts = split_validation(job.train, _VALIDATION_IMAGES, job.seed)
    train, validation = ((p.pixels.astype(np.float32) / 255, p.labels) for p in parts)
    net = _network(job.train, _HIDDEN)
    key_params, key = jax.random.split(jax.random.key(job.seed))
    settings = Settings(
        steps=round(_STEPS * job.effort), fine_tune_steps=round(_FINE_TUNE_STEPS * job.effort)
    )
    found = _prune.search(
        net.apply, net.init(key_params), train, validation, None,
        Goal(budget_bytes=_BUDGET_BYTES), None, key, settings,
        on_trial=lambda done, planned, best: bar("penalty weights", done, planned),
    )  # fmt: skip
    dense = found.baseline
    assert dense is not None
    path, dense_path = job.path("pruned.fwb"), job.path("dense.fwb")
    container.save(path, found.pruned.file)
    container.save(dense_path, dense.file)
    row = job.row(
        "pruned network (DRR)", path, percent(path, job.test), percent(dense_path, job.test),
        f"dense, {dense.bits} bits a weight, {dense.size_bytes:,} bytes",
    )  # fmt: skip
    return [row._replace(baseline_file=dense_path)], [_weights(decoded_networks.decode(path), job)]


def percent(path: Path, images: Images) -> float:
    """Accuracy of the network that a subprocess decodes."""
    params = decoded_networks.decode(path)
    net = _network(images, params["dense1"]["kernel"].shape[1])
    return decoded_networks.accuracy_percent(net, params, images)


def _network(images: Images, hidden: int) -> Network:
    return networks.mlp((images.pixels[0].size, hidden, len(images.label_names)))


def _weights(params: Any, job: Job) -> Picture:
    kernel = params["dense1"]["kernel"]
    alive = np.count_nonzero(kernel.any(axis=0))
    figure, (axis,) = plots.subplots(width=3.4, height=3.0)
    axis.imshow(np.count_nonzero(kernel, axis=1).reshape(job.side), cmap="Blues")
    axis.grid(False)
    axis.set(title="weights per pixel", xticks=[], yticks=[])
    values = np.concatenate([np.ravel(layer["kernel"]) for layer in params.values()])
    caption = (
        f"{np.count_nonzero(values)} of {values.size:,} weights are left; {alive} of "
        f"{kernel.shape[1]} hidden units see anything."
    )
    return picture(caption, figure)
