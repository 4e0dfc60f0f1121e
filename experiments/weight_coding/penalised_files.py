"""Files of penalised LeNets: a step chosen on validation, every coder, decoded in a subprocess.

The measuring half of `experiments.weight_coding.l2_is_compression`, one seed's networks at a time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import decoded_networks, plain_files
from experiments.runner.experiment import Artifact, Column, Data, Key, MeanOverSeeds
from fewbits.coding import container
from fewbits.coding.weights import gaussian_code, prior_file, step_size
from fewbits.coding.weights.sparse import sparse_code
from fewbits.io.datasets import Images
from fewbits.training import evaluation, losses, networks, trees

_PRIORS = ("gaussian", "laplace", "spike", "empirical")


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
    """Step of the figure of codelength against penalty weight."""
    probes: int = 4
    probe_images: int = 500


class Parts(NamedTuple):
    """Images to estimate curvature on, to choose on, and to report on."""

    train: Images
    validation: Images
    test: Images


class Network(NamedTuple):
    """Every network at the coarsest step that costs 0.1 points of validation accuracy.

    Bytes of whole files under each prior; mean ± standard deviation over seeds.
    """

    penalty: Annotated[str, Key]
    weight: Annotated[float, Key, Column(format="g")]
    seed: int
    test_percent: Annotated[float, MeanOverSeeds("%"), Column("test accuracy, %")]
    squared_norm: Annotated[float, MeanOverSeeds(), Column(format=",.0f")]
    log2_step: Annotated[float, MeanOverSeeds(), Column("log2 step", ".1f")]
    gaussian: Annotated[int, MeanOverSeeds(), Column(format=",.0f")]
    laplace: Annotated[int, MeanOverSeeds(), Column(format=",.0f")]
    spike: Annotated[int, MeanOverSeeds(), Column(format=",.0f")]
    empirical: Annotated[int, MeanOverSeeds(), Column(format=",.0f")]
    sparse: Annotated[int, MeanOverSeeds(), Column(format=",.0f")]
    xz: Annotated[int, MeanOverSeeds(), Column("xz -9e", ",.0f")]
    unrounded_validation_percent: float
    hessian_trace_nats: float
    predicted_step: float
    fixed_step_bits: float
    """Codelength under a Gaussian prior at the step `Steps.fixed`."""
    predicted_bits: float
    """The same from the norm alone."""

    @property
    def bytes(self) -> int:
        """Of the smallest of its files."""
        return min(self.gaussian, self.laplace, self.spike, self.empirical, self.sparse)


class File(NamedTuple):
    """The smallest file of a network at one step."""

    penalty: str
    weight: float
    seed: int
    coarser: int
    """Half octaves beyond the main step."""
    step: float
    coder: str
    bytes: int
    coded_bytes: dict[str, int]
    """By coder."""
    xz_bytes: int
    validation_percent: float
    test_percent: float
    file: Annotated[Path, Artifact]


def measure(
    steps: Steps, nets: dict[tuple[str, float], Any], seed: int, parts: Parts, data: Data
) -> list[Network | File]:
    """All files of one seed's networks, at three steps each, every one decoded.

    Args:
      steps: how they are chosen.
      nets: parameters by penalty and its weight.
      seed: of the networks.
      parts: images.
      data: where files go.
    """
    net = networks.lenet_300_100(parts.test.pixels.shape[1:])

    @jax.jit
    def percent(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return 100 * evaluation.accuracy(net.apply, params, x, y)

    @jax.jit
    def rounded_percent(params: Any, step: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        return percent(jax.tree.map(lambda leaf: jnp.round(leaf / step) * step, params), x, y)

    @jax.jit
    def trace(key: jax.Array, params: Any, batch: Any) -> jax.Array:
        mean_loss = losses.cross_entropy(net.apply)
        total = len(parts.train.labels)
        return step_size.hutchinson_trace(
            key, lambda p: total * mean_loss(key, p, batch)[0], params, steps.probes
        )[0]

    held, tested = (tuple(map(jnp.asarray, part[:2])) for part in (parts.validation, parts.test))
    probed = (parts.train.pixels[: steps.probe_images], parts.train.labels[: steps.probe_images])
    rows, files, plains = [], [], []
    for number, ((penalty, weight), params) in enumerate(nets.items()):
        vector = np.asarray(trees.as_vector(params), np.float64)
        unrounded = float(percent(params, *held))
        curvature = trace(jax.random.key(seed), params, probed)
        predicted = float(step_size.best_step(vector.size, curvature))

        def acceptable(step: float, params: Any = params, unrounded: float = unrounded) -> bool:
            return float(rounded_percent(params, step, *held)) >= unrounded - steps.drop_points

        start = steps.coarsest * 2.0 ** (
            -0.5 * round(2 * np.log2(steps.coarsest / np.clip(predicted, steps.finest, 1.0)))
        )
        main = step_size.coarsest(acceptable, start, steps.finest, steps.coarsest)
        of_network = []
        for extra in (0, *steps.coarser):
            step = main * step_size.HALF_OCTAVE**extra
            rounded = prior_file.quantise_coded(params, step)
            stem = f"l2_is_compression_{penalty}{number}_{extra}_seed{seed}"
            sizes = {}
            for name in (*(_PRIORS if extra == 0 else ("empirical",)), "sparse"):
                path = data.path(f"{stem}_{name}.fwb")
                container.save(path, _coded(params, step, name))
                files.append((path, rounded))
                sizes[name] = path.stat().st_size
            coder = min(sizes, key=sizes.__getitem__)
            plains.append((data.path(f"{stem}.xz"), _whole_numbers(rounded, step)))
            of_network.append(
                File(
                    penalty, weight, seed, extra, step, coder, sizes[coder], sizes,
                    plain_files.save(*plains[-1]), float(percent(rounded, *held)),
                    float(percent(rounded, *tested)), data.path(f"{stem}_{coder}.fwb"),
                )
            )  # fmt: skip
        first, norm = of_network[0], float(vector @ vector)
        rows += [
            Network(
                penalty, weight, seed, first.test_percent, norm, float(np.log2(main)),
                **first.coded_bytes, xz=first.xz_bytes, unrounded_validation_percent=unrounded,
                hessian_trace_nats=float(curvature), predicted_step=predicted,
                fixed_step_bits=_fixed_bits(vector, steps.fixed),
                predicted_bits=gaussian_code.predicted_bits(norm, vector.size, steps.fixed),
            ),
            *of_network,
        ]  # fmt: skip
    decoded_networks.check(files)
    plain_files.check(plains)
    return rows


def _coded(params: Any, step: float, coder: str) -> bytes:
    if coder == "sparse":
        return sparse_code.write_sparse(params, step=step)
    return prior_file.write_coded(params, step, coder)


def _fixed_bits(vector: np.ndarray, step: float) -> float:
    return gaussian_code.codelength_bits(vector, step, float(np.sqrt(np.mean(vector**2))))


def _whole_numbers(params: Any, step: float) -> bytes:
    exact = np.float64(np.float32(step))
    symbols = np.rint(np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)]) / exact)
    width = np.int8 if np.abs(symbols).max() < 128 else np.int16
    return symbols.astype(width).tobytes()
