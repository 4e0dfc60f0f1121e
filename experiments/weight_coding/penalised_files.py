"""Files of penalised LeNets: a step chosen on validation, every coder, decoded in a fresh process.

The measuring half of `experiments.weight_coding.l2_is_compression`, one seed's networks at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import decoded_networks, plain_files
from experiments.weight_coding.penalised_lenets import Networks
from fewbits.coding import container
from fewbits.coding.weights import gaussian_code, prior_file, sparse_code, step_size
from fewbits.io.datasets import Images
from fewbits.training import evaluation, losses, trees
from fewbits.training.networks import Network

CODERS: dict[str, Callable[[Any, float], bytes]] = {
    "gaussian": lambda params, step: prior_file.write_coded(params, step, "gaussian"),
    "laplace": lambda params, step: prior_file.write_coded(params, step, "laplace"),
    "spike": lambda params, step: prior_file.write_coded(params, step, "spike"),
    "empirical": lambda params, step: prior_file.write_coded(params, step, "empirical"),
    "sparse": lambda params, step: sparse_code.write_sparse(params, step=step),
}


@dataclass(frozen=True)
class Steps:
    """How steps are chosen."""

    drop_points: float = 0.1
    """Validation accuracy that rounding may cost at the main step."""
    coarser: tuple[int, ...] = (1, 2)
    """Half octaves beyond the main step at which files are made as well."""
    finest: float = 2.0**-10
    coarsest: float = 0.5
    fixed: float = 2.0**-9
    """Step of the figure of codelength against strength."""
    probes: int = 4
    probe_images: int = 500


class Parts(NamedTuple):
    """Images to estimate curvature on, to choose on, and to report on."""

    train: Images
    validation: Images
    test: Images


def measure(
    steps: Steps, folder: Path, net: Network, nets: Networks, seed: int, parts: Parts
) -> list[dict[str, Any]]:
    """All files of one seed's networks, at three steps each, every one decoded."""

    @jax.jit
    def rounded_accuracy(params: Any, step: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        rounded = jax.tree.map(lambda leaf: jnp.round(leaf / step) * step, params)
        return 100 * evaluation.accuracy(net.apply, rounded, x, y)

    @jax.jit
    def accuracy(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return 100 * evaluation.accuracy(net.apply, params, x, y)

    @jax.jit
    def trace(key: jax.Array, params: Any, batch: Any) -> jax.Array:
        mean_loss = losses.cross_entropy(net.apply)
        total = len(parts.train.labels)
        return step_size.hutchinson_trace(
            key, lambda p: total * mean_loss(key, p, batch)[0], params, steps.probes
        )[0]

    held = (jnp.asarray(parts.validation.pixels), jnp.asarray(parts.validation.labels))
    tested = (jnp.asarray(parts.test.pixels), jnp.asarray(parts.test.labels))
    count = steps.probe_images
    probed = (parts.train.pixels[:count], parts.train.labels[:count])
    rows, files, plains = [], [], []
    for number, params in enumerate(nets.params):
        vector = np.asarray(trees.as_vector(params), np.float64)
        unrounded = float(accuracy(params, *held))
        found = trace(jax.random.key(seed), params, probed)
        predicted = float(step_size.best_step(vector.size, found))

        def acceptable(step: float, params: Any = params, unrounded: float = unrounded) -> bool:
            return float(rounded_accuracy(params, step, *held)) >= unrounded - steps.drop_points

        start = steps.coarsest * 2.0 ** (
            -0.5 * round(2 * np.log2(steps.coarsest / np.clip(predicted, steps.finest, 1.0)))
        )
        main = step_size.coarsest(acceptable, start, steps.finest, steps.coarsest)
        for extra in (0, *steps.coarser):
            step = main * step_size.HALF_OCTAVE**extra
            coders = CODERS if extra == 0 else {k: CODERS[k] for k in ("empirical", "sparse")}
            coded = {name: coder(params, step) for name, coder in coders.items()}
            smallest = min(coded, key=lambda name, coded=coded: len(coded[name]))
            rounded = prior_file.quantise_coded(params, step)
            stem = f"{nets.penalty[number]}{number}_{extra}_seed{seed}"
            sizes = {}
            for name, data in coded.items():
                path = folder / f"{stem}_{name}.fwb"
                container.save(path, data)
                files.append((path, rounded))
                sizes[name] = path.stat().st_size
            plain = folder / f"{stem}.xz"
            content = _whole_numbers(rounded, step)
            plain_size = plain_files.save(plain, content)
            plains.append((plain, content))
            rows.append(
                {
                    "penalty": nets.penalty[number],
                    "strength": nets.strength[number],
                    "seed": seed,
                    "step": step,
                    "coarser": extra,
                    "file": f"{stem}_{smallest}.fwb",
                    "coder": smallest,
                    "bytes": sizes[smallest],
                    "coded_bytes": sizes,
                    "xz_bytes": plain_size,
                    "validation_percent": float(accuracy(rounded, *held)),
                    "test_percent": float(accuracy(rounded, *tested)),
                    "unrounded_validation_percent": unrounded,
                    "squared_norm": float(vector @ vector),
                    "hessian_trace_nats": float(found),
                    "predicted_step": predicted,
                    "fixed_step_bits": _fixed_bits(vector, steps.fixed),
                    "predicted_bits": gaussian_code.predicted_bits(
                        float(vector @ vector), vector.size, steps.fixed
                    ),
                    "sha256": _digest(rounded),
                }
            )
    decoded_networks.check(files)
    plain_files.check(plains)
    return rows


def _fixed_bits(vector: np.ndarray, step: float) -> float:
    return gaussian_code.codelength_bits(vector, step, float(np.sqrt(np.mean(vector**2))))


def _whole_numbers(params: Any, step: float) -> bytes:
    exact = np.float64(np.float32(step))
    symbols = np.rint(np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)]) / exact)
    width = np.int8 if np.abs(symbols).max() < 128 else np.int16
    return symbols.astype(width).tobytes()


def _digest(params: Any) -> str:
    leaves = trees.named_leaves(params)
    return hashlib.sha256(
        b"".join(np.ravel(leaves[k]).tobytes() for k in sorted(leaves))
    ).hexdigest()
