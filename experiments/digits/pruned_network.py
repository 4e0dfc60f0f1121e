"""The main job's row for a pruned network, beside a dense one of as many bytes."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pruning
from experiments.common import decoded_networks
from experiments.digits.row import Job, Picture, Row, bytes_of, picture
from experiments.runner import plots
from fewbits.coding import container, params_from_bytes, params_to_bytes
from fewbits.io.datasets import Images, split_validation
from fewbits.io.progress import Bar
from fewbits.training import gradient_descent, loop, losses, networks
from fewbits.training.networks import Network
from pruning.search import trial

_BUDGETS = (300, 450, 650)
"""Bytes; the one with the largest gain on validation images over a dense network is reported."""
_HIDDEN = 20
_VALIDATION_IMAGES = 300
_STEPS, _PRUNING_STEPS, _FINE_TUNE_STEPS = 3_000, 3_000, 1_500
_DENSE_BITS = (4, 5, 6)


def rows(job: Job, bar: Bar) -> tuple[list[Row], list[Picture]]:
    """A trained network pruned into a file, and the dense network that its bytes would buy."""
    train, validation = split_validation(job.train, _VALIDATION_IMAGES, job.seed)
    steps, pruning_steps, tune_steps = (
        max(50, round(count * job.effort)) for count in (_STEPS, _PRUNING_STEPS, _FINE_TUNE_STEPS)
    )
    bar("pruning", 0, 2)
    net = _network(train, _HIDDEN)
    pruned = pruning.prune(
        net.apply, _trained(job, net, train, steps), _floats(train), _floats(validation),
        budget_bytes=max(_BUDGETS), steps=pruning_steps, fine_tune_steps=tune_steps,
        baseline=False, key=jax.random.key(job.seed),
    )  # fmt: skip
    steps += pruning_steps + tune_steps + tune_steps // 2
    bar("dense networks of as many bytes", 1, 2)
    pairs = [
        (point, _best_dense(job, train, validation, point.size_bytes, steps))
        for point in _within(pruned.points)
    ]
    point, dense = max(pairs, key=lambda pair: pair[1][0] - pair[0].error_percent)
    data, bits, hidden = dense[1:]
    path, dense_path = job.path("pruned.fwb"), job.path("dense.fwb")
    container.save(path, point.file)
    container.save(dense_path, data)
    bar("dense networks of as many bytes", 2, 2)
    row = job.row(
        "pruned network (DRR)", path, percent(path, job.test), percent(dense_path, job.test),
        f"dense, {hidden} hidden units of {bits} bits, {len(data):,} bytes",
        baseline_file=dense_path,
    )  # fmt: skip
    decoded = decoded_networks.decode(path)
    return [row], [_weights(decoded, job), bytes_of(path, "the pruned network's file")]


def _floats(images: Images) -> tuple[np.ndarray, np.ndarray]:
    return images.pixels.astype(np.float32) / 255, images.labels


def _within(points: list[Any]) -> list[Any]:
    """The most accurate file within each budget; the smallest one where none is that small."""
    chosen = [
        max((p for p in points if p.size_bytes <= budget), key=lambda p: p.size_bytes, default=None)
        for budget in _BUDGETS
    ]
    return list(dict.fromkeys(p for p in chosen if p is not None)) or points[:1]


def _best_dense(
    job: Job, train: Images, validation: Images, size_bytes: int, steps: int
) -> tuple[float, bytes, int, int]:
    """Validation error, file, bits and hidden units of the best dense network of such a size."""
    made = [_dense(job, train, size_bytes, bits, steps) for bits in _DENSE_BITS]
    errors = [100 - _percent(params_from_bytes(data), validation) for data, _, _ in made]
    best = int(np.argmin(errors))
    return errors[best], *made[best]


def percent(path: Path, images: Images) -> float:
    """Accuracy of the network that a subprocess decodes."""
    return _percent(decoded_networks.decode(path), images)


def _percent(params: Any, images: Images) -> float:
    return decoded_networks.accuracy_percent(
        _network(images, params["dense1"]["kernel"].shape[1]), params, images
    )


def _network(images: Images, hidden: int) -> Network:
    return networks.mlp((images.pixels[0].size, hidden, len(images.label_names)))


def _dense(
    job: Job, train: Images, size_bytes: int, bits: int, steps: int
) -> tuple[bytes, int, int]:
    """The widest network of one hidden layer whose file has at most so many bytes, and bits."""
    hidden = max(1, int(8 * size_bytes / (train.pixels[0].size * bits)))
    while True:
        net = _network(train, hidden)
        # Trained ones differ by a few bytes: no need to train what is far too large.
        data = params_to_bytes(net.init(jax.random.key(job.seed)), bits=bits)
        if len(data) <= 1.02 * size_bytes or hidden == 1:
            on_grid = steps // 5
            params = _on_grid(
                job, net, train, _trained(job, net, train, steps - on_grid), bits, on_grid
            )
            data = params_to_bytes(params, bits=bits)
            if len(data) <= size_bytes or hidden == 1:
                return data, bits, hidden
        hidden -= 1


def _trained(job: Job, net: Network, train: Images, steps: int) -> Any:
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(2e-3)),
        losses.cross_entropy(net.apply),
    )
    data = (jnp.asarray(train.pixels), jnp.asarray(train.labels))
    key_params, key_run = jax.random.split(jax.random.key(job.seed))
    plan = loop.Plan(steps, 64, log_points=1)
    return jax.jit(lambda p: loop.run(method, plan, key_run, p, data).params)(net.init(key_params))


def _on_grid(job: Job, net: Network, train: Images, params: Any, bits: int, steps: int) -> Any:
    """Trained on at the values that a file of so many bits can hold, as the pruned network was."""
    loss = trial.on_grid(losses.cross_entropy(net.apply), bits)
    data = (jnp.asarray(train.pixels), jnp.asarray(train.labels))
    key = jax.random.fold_in(jax.random.key(job.seed), 1)
    return trial.train(loss, key, params, data, steps, 64, 1e-3)


def _weights(params: Any, job: Job) -> Picture:
    kernel = params["dense1"]["kernel"]
    alive = np.count_nonzero(kernel.any(axis=0))
    figure, (left, right) = plots.subplots(2, width=3.4, height=3.0)
    shape = job.train.pixels.shape[1:3]
    left.imshow(np.count_nonzero(kernel, axis=1).reshape(shape), cmap="Blues")
    left.grid(False)
    left.set(title="weights per pixel", xticks=[], yticks=[])
    values = np.concatenate([np.ravel(layer["kernel"]) for layer in params.values()])
    right.hist(values[values != 0], bins=31, color=plots.OURS)
    right.set(title="values of the weights left", xlabel="weight")
    caption = (
        f"{np.count_nonzero(values)} of {values.size:,} weights are left; {alive} of "
        f"{kernel.shape[1]} hidden units see anything."
    )
    return picture(caption, figure)
