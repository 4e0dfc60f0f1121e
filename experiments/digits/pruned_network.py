"""The main job's row for a pruned network, beside a dense one of as many bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pruning
from experiments.common import decoded_networks
from experiments.digits.row import Job, Picture, Row
from experiments.runner import plots
from fewbits.coding import account, container
from fewbits.coding.weights import model_file, sparse_code
from fewbits.io.progress import Bar
from fewbits.training import evaluation, gradient_descent, loop, losses, networks

_EPOCHS, _FINE_TUNE_EPOCHS, _BATCH = 500, 250, 500
_STRENGTH, _RATE, _TOLERANCE = 1e-4, 2e-3, 0.3
_BITS = {"*/bias": 6, "*": 4}
_DENSE_BITS = 6
_DENSE_STEPS = 3_000


def rows(job: Job, bar: Bar) -> list[Row]:
    """LeNet-300-100 pruned and written, and the dense network that its bytes would buy."""
    epochs, tuning = (max(2, round(count * job.effort)) for count in (_EPOCHS, _FINE_TUNE_EPOCHS))
    shape = job.train.pixels.shape[1:]
    net = networks.lenet_300_100(shape)
    bar("pruning", 0, 2)
    pruned = _pruned(job, net, epochs, tuning)
    path = job.run.artifacts / "digits_pruned.fwb"
    container.save(path, sparse_code.write_sparse(pruned, _BITS))
    decoded = decoded_networks.decode(path)

    bar("dense network of as many bytes", 1, 2)
    dense_path, dense_net, hidden = _dense(job, path.stat().st_size)
    dense = decoded_networks.decode(dense_path)
    bar("dense network of as many bytes", 2, 2)
    size = path.stat().st_size
    return [
        Row(
            "pruned network (PMMP, curvature)",
            size,
            8 * size / len(job.train.labels),
            _percent(net, decoded, job),
            _percent(dense_net, dense, job),
            f"dense, {hidden} hidden units of {_DENSE_BITS} bits, "
            f"{dense_path.stat().st_size:,} bytes",
            (_first_layer(decoded, shape), _account(path)),
        )
    ]


def _pruned(job: Job, net: Any, epochs: int, tuning: int) -> Any:
    """The three phases, a tenth of the training data deciding the threshold."""
    order = np.random.default_rng(job.seed).permutation(len(job.train.labels))
    held, kept = np.split(order, [max(len(order) // 10, 1)])
    train, validation = ((job.train.pixels[rows], job.train.labels[rows]) for rows in (kept, held))
    batch = min(_BATCH, len(kept))
    steps, tune_steps = (count * (len(kept) // batch) for count in (epochs, tuning))
    loss = losses.cross_entropy(net.apply)
    method = pruning.pmmp_curvature(loss, strength=_STRENGTH, learning_rate=_RATE, steps=steps)

    def run(params: Any, train: Any, validation: Any) -> Any:
        return pruning.three_phase(
            jax.random.key(job.seed),
            params,
            train,
            validation,
            method=method,
            loss=loss,
            objective=lambda p, data: evaluation.mean_cross_entropy(net.apply, p, *data),
            steps=steps,
            fine_tune_steps=tune_steps,
            batch_size=batch,
            tolerance=_TOLERANCE,
            fine_tune_rate=_RATE,
            simplify=lambda key, p: pruning.remove_unreachable(p, zero_padding=True),
        ).params

    found = jax.jit(run)(net.init(jax.random.key(job.seed)), train, validation)
    return jax.tree.map(np.asarray, found)


def _dense(job: Job, size_bytes: int) -> tuple[Path, Any, int]:
    """The widest network of one hidden layer whose file has at most so many bytes."""
    inputs, classes = job.train.pixels[0].size, len(job.train.label_names)
    per_unit = (inputs + 1 + classes) * _DENSE_BITS / 8
    hidden = max(1, int(size_bytes / per_unit))
    path = job.run.artifacts / "digits_dense.fwb"
    while True:
        net = networks.mlp((inputs, hidden, classes))
        data = model_file.write_model(_train(job, net), bits=_DENSE_BITS)
        if len(data) <= size_bytes or hidden == 1:
            container.save(path, data)
            return path, net, hidden
        hidden -= 1


def _train(job: Job, net: Any) -> Any:
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(2e-3)),
        losses.cross_entropy(net.apply),
    )
    steps = max(50, round(_DENSE_STEPS * job.effort))
    data = (jnp.asarray(job.train.pixels), jnp.asarray(job.train.labels))
    key_params, key_run = jax.random.split(jax.random.key(job.seed))
    plan = loop.Plan(steps, 64, log_points=1)
    return jax.jit(lambda p: loop.run(method, plan, key_run, p, data).params)(net.init(key_params))


def _percent(net: Any, params: Any, job: Job) -> float:
    test = (jnp.asarray(job.test.pixels), jnp.asarray(job.test.labels))
    return 100 * float(evaluation.accuracy(net.apply, params, *test))


def _first_layer(params: Any, shape: tuple[int, ...]) -> Picture:
    kernel = np.asarray(params["dense1"]["kernel"])
    alive = np.count_nonzero(kernel.any(axis=0))
    figure, (left, right) = plots.subplots(2, width=3.4, height=3.0)
    left.imshow(np.count_nonzero(kernel, axis=1).reshape(shape[:2]), cmap="Blues")
    left.grid(False)
    left.set(title="weights per pixel", xticks=[], yticks=[])
    values = np.concatenate([np.ravel(layer["kernel"]) for layer in params.values()])
    right.hist(values[values != 0], bins=31, color=plots.OURS)
    right.set(title="values of the weights left", xlabel="weight")
    total = sum(np.size(leaf) for leaf in jax.tree.leaves(params))
    caption = (
        f"{np.count_nonzero(values)} of {total:,} parameters are left; {alive} of "
        f"{kernel.shape[1]} units of the first layer see anything."
    )
    return Picture(caption, figure)


def _account(path: Path) -> Picture:
    figure, (axis,) = plots.subplots(width=6.5, height=3.4)
    listed = account(path)
    axis.barh([row.part for row in listed], [row.size_bytes for row in listed], color=plots.OURS)
    axis.invert_yaxis()
    axis.set(xlabel="bytes")
    caption = f"Every byte of the pruned network's file, {path.stat().st_size:,} in all."
    return Picture(caption, figure)
