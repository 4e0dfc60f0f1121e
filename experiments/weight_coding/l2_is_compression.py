"""Is L2 compression? Files of LeNet-300-100 trained with L2, L1, DRR and nothing, decoded.

Every network is rounded to the coarsest step that costs at most 0.1 points of validation accuracy
(and to two coarser ones), coded under a Gaussian, a Laplace, a spike-and-slab and an empirical
prior and as a sparse file, and each file is decoded in a subprocess. 125 networks train in one
compiled program, seed by seed.

Cost: paper: 1 h 30 min on 1 core; smoke: 1 min.
Data: mnist.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

from experiments.common import decoded_networks, plain_files
from experiments.runner import experiment as ex
from experiments.runner import rows
from experiments.weight_coding import penalised_lenets
from fewbits.coding import container
from fewbits.coding.weights import gaussian_code, prior_file, step_size
from fewbits.coding.weights.sparse import sparse_code
from fewbits.io import datasets, read_checkpoint, write_checkpoint
from fewbits.training import evaluation, losses, networks, trees

TARGETS_PERCENT = (98.0, 97.5)
FINEST, COARSEST = 2.0**-10, 0.5
FIXED_STEP = 2.0**-9
"""Of the figure of codelength against penalty weight."""
PROBES = 4


@dataclass(frozen=True)
class Config:
    training: penalised_lenets.Config = penalised_lenets.Config()
    drop_points: float = 0.1
    """Validation accuracy that rounding may cost at the main step."""
    coarser: tuple[int, ...] = (1, 2)
    """Half octaves beyond the main step at which files are made as well."""
    probe_images: int = 500
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


class Smallest(NamedTuple):
    """Bytes of LeNet-300-100 at a given accuracy.

    Smallest file over penalty weights and steps, chosen on validation; mean ± standard deviation
    over the seeds that have one.
    """

    target_percent: Annotated[float, ex.Key, ex.Column("validation accuracy, % at least", "g")]
    penalty: Annotated[str, ex.Key]
    bytes: Annotated[
        int, ex.MeanOverSeeds("bytes"), ex.Column("bytes", ",.0f"),
        ex.Claim("coding.l2_is_compression.file_bytes_at_{target_percent}.{penalty}", 0.0),
    ]  # fmt: skip
    test_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("test accuracy, %")]
    seed: Annotated[int, ex.Over(len), ex.Column("seeds")]
    file: Annotated[Path, ex.Artifact]


CodeBits = Annotated[float, ex.Axis("Gaussian code at one step, bits")]


class Network(NamedTuple):
    """Every network at the coarsest step that costs 0.1 points of validation accuracy.

    Bytes of whole files under each prior; mean ± standard deviation over seeds.
    """

    penalty: Annotated[str, ex.Key]
    weight: Annotated[float, ex.Key, ex.Axis("penalty weight", "log"), ex.Column("weight", "g")]
    seed: int
    test_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("test accuracy, %")]
    squared_norm: Annotated[float, ex.MeanOverSeeds(), ex.Column(format=",.0f")]
    log2_step: Annotated[float, ex.MeanOverSeeds(), ex.Column("log2 step", ".1f")]
    gaussian: Annotated[int, ex.MeanOverSeeds(), ex.Column(format=",.0f")]
    laplace: Annotated[int, ex.MeanOverSeeds(), ex.Column(format=",.0f")]
    spike: Annotated[int, ex.MeanOverSeeds(), ex.Column(format=",.0f")]
    empirical: Annotated[int, ex.MeanOverSeeds(), ex.Column(format=",.0f")]
    sparse: Annotated[int, ex.MeanOverSeeds(), ex.Column(format=",.0f")]
    xz: Annotated[int, ex.MeanOverSeeds(), ex.Column("xz -9e", ",.0f")]
    unrounded_validation_percent: float
    hessian_trace_nats: float
    predicted_step: float
    fixed_step_bits: Annotated[CodeBits, ex.Column("coded", shown=False)]
    """Codelength under a Gaussian prior at `FIXED_STEP`."""
    predicted_bits: Annotated[CodeBits, ex.Column("predicted from the norm", shown=False)]


class File(NamedTuple):
    """The smallest file of a network at one step."""

    penalty: Annotated[str, ex.Key]
    weight: Annotated[float, ex.Key, ex.Axis("penalty weight", "log")]
    seed: int
    coarser: Annotated[int, ex.Key, ex.Panel]
    """Half octaves beyond the main step."""
    step: float
    coder: str
    bytes: Annotated[int, ex.Axis("bytes of the file", "log", x=True)]
    coded_bytes: dict[str, int]
    """By coder."""
    xz_bytes: int
    validation_percent: float
    test_percent: Annotated[float, ex.Axis("test accuracy, %")]
    file: Annotated[Path, ex.Artifact]


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> list[Network | File]:
    """Train a seed's networks; of each choose steps, write files, decode them, test them."""
    ((seed,),) = trials
    training = config.training
    images = data.images(training.data, "train")
    train, validation = datasets.split_validation(images, training.validation)

    def write(path: Path) -> None:
        write_checkpoint(path, penalised_lenets.train(training, seed, train))

    trained = read_checkpoint(data.cached_file(f"networks_{seed}.npz", write))
    net = networks.lenet_300_100(train.pixels.shape[1:])
    held, tested = validation[:2], data.images(training.data, "test")[:2]
    probed = (train.pixels[: config.probe_images], train.labels[: config.probe_images])

    @jax.jit
    def percent(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return 100 * evaluation.accuracy(net.apply, params, x, y)

    @jax.jit
    def trace(key: jax.Array, params: Any, batch: Any) -> jax.Array:
        mean_loss, count = losses.cross_entropy(net.apply), len(train.labels)
        return step_size.hutchinson_trace(
            key, lambda p: count * mean_loss(key, p, batch)[0], params, PROBES
        )[0]

    found, files, plains = [], [], []
    for number, (penalty, weight) in enumerate(training.points):
        params = jax.tree.map(lambda leaf, i=number: leaf[i], trained)
        vector = np.asarray(trees.as_vector(params), np.float64)
        unrounded = float(percent(params, *held))
        curvature = float(trace(jax.random.key(seed), params, probed))
        predicted = float(step_size.best_step(vector.size, curvature))

        def acceptable(step: float, params: Any = params, unrounded: float = unrounded) -> bool:
            rounded = prior_file.quantise_coded(params, step)
            return float(percent(rounded, *held)) >= unrounded - config.drop_points

        main = step_size.coarsest(acceptable, predicted, FINEST, COARSEST)
        of_network = []
        for extra in (0, *config.coarser):
            step = main * step_size.HALF_OCTAVE**extra
            rounded = prior_file.quantise_coded(params, step)
            stem = f"l2_is_compression_{penalty}{number}_{extra}_seed{seed}"
            sizes = {}
            for coder in (*(prior_file.FAMILIES if extra == 0 else ("empirical",)), "sparse"):
                content = (
                    sparse_code.write_sparse(params, step=step) if coder == "sparse"
                    else prior_file.write_coded(params, step, coder)
                )  # fmt: skip
                path = data.path(f"{stem}_{coder}.fwb")
                container.save(path, content)
                files.append((path, rounded))
                sizes[coder] = path.stat().st_size
            best = min(sizes, key=sizes.__getitem__)
            plains.append((data.path(f"{stem}.xz"), plain_files.symbols(rounded, step)))
            of_network.append(
                File(
                    penalty, weight, seed, extra, step, best, sizes[best], sizes,
                    plain_files.save(*plains[-1]), float(percent(rounded, *held)),
                    float(percent(rounded, *tested)), data.path(f"{stem}_{best}.fwb"),
                )
            )  # fmt: skip
        first, norm = of_network[0], float(vector @ vector)
        found += [
            Network(
                penalty, weight, seed, first.test_percent, norm, float(np.log2(main)),
                **first.coded_bytes, xz=first.xz_bytes, unrounded_validation_percent=unrounded,
                hessian_trace_nats=curvature, predicted_step=predicted,
                fixed_step_bits=gaussian_code.codelength_bits(
                    vector, FIXED_STEP, (norm / vector.size) ** 0.5
                ),
                predicted_bits=gaussian_code.predicted_bits(norm, vector.size, FIXED_STEP),
            ),
            *of_network,
        ]  # fmt: skip
    decoded_networks.check(files)
    plain_files.check(plains)
    return found


def derive(record: ex.Record) -> list[Smallest]:
    """For each seed the smallest file whose validation accuracy reaches the target, if any."""
    found = []
    for target in TARGETS_PERCENT:
        good = [file for file in record.of(File) if file.validation_percent >= target]
        for files in rows.grouped(good, lambda file: (file.penalty, file.seed)).values():
            best = min(files, key=lambda file: file.bytes)
            size, accuracy = best.bytes, best.test_percent
            found.append(Smallest(target, best.penalty, size, accuracy, best.seed, best.file))
    return found


def recompute(config: Config, row: Smallest, data: ex.Data) -> float:
    """Decode the file in a subprocess, test it again; its bytes."""
    test = data.images(config.training.data, "test")
    net = networks.lenet_300_100(test.pixels.shape[1:])
    decoded_networks.decode_tested(row.file, net, test, row.test_percent)
    return row.file.stat().st_size


_SMALL = penalised_lenets.Config(
    "digits", epochs=15, validation=297, l2=(1e-4, 1e-3), l1=(1e-5, 1e-4), drr=(1e-5,)
)

EXPERIMENT = ex.of_module(
    __name__,
    (Smallest, Network, File),
    {
        "paper": Config(),
        "smoke": Config(_SMALL, coarser=(1,), probe_images=200, seeds=(0, 1)),
    },
    data=lambda config: config.training.data,
    notes="bytes: a file that a subprocess decoded to the network that was tested; bits: whole "
    "files under each prior",
)  # fmt: skip
