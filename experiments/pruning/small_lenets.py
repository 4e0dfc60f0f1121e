"""The pruned LeNets of `prune_lenet` in smaller files: sorted units, fewer bits, a newer coder.

`results/prune_lenet/files` holds what runs of `prune_lenet` have written, all seeds. Hidden units
are sorted (`pruning.sort_units`), and each network is coded again at 5 to 8 bits. Of all operating
points and bits, by means over seeds, two are published: `small` has the least validation error
within a budget of bytes, as in `prune_lenet`; `smallest` has the fewest bytes within a limit of
validation error.

Cost: lenet300, lenet5: 2 min on 1 core each; smoke: 1 min.
Data: mnist; smoke: digits (embedded).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax.numpy as jnp

import pruning
from experiments.common import decoded_networks
from experiments.pruning import files, training
from experiments.pruning.runs import Bytes, TestError, ValidationError
from experiments.runner import experiment as ex
from experiments.runner.records import REPOSITORY
from experiments.weight_coding import sparse_lenets
from fewbits import coding
from fewbits.coding.adaptive import adaptive_file

FILES = REPOSITORY / "results" / "prune_lenet" / "files"
BITS = ((5, 6), (6, 6), (7, 8), (8, 8))
"""Of kernels and of biases."""


@dataclass(frozen=True)
class Config:
    network: Literal["lenet300", "lenet5"] = "lenet300"
    data: str = "mnist"
    sources: tuple[str, ...] = ()
    """Operating points of `prune_lenet`; none trains a small one."""
    budget_bytes: int = 1 << 20
    """Of the mean size, for `small`."""
    limit_percent: float = 100.0
    """Of the mean validation error, for `smallest`."""
    validation_images: int = 5_000
    seeds: tuple[int, ...] = (0,)


class Small(NamedTuple):
    """Files with sorted units.

    Operating point and bits were chosen on validation: `small` has the least validation error
    within a budget (1,800 bytes for LeNet-5, 2,500 for LeNet-300-100), `smallest` the fewest bytes
    within a validation error (1.25 and 2.1 %). Each file was decoded in a subprocess. Mean ±
    standard deviation.
    """

    network: Annotated[str, ex.Key]
    target: Annotated[str, ex.Key]
    source: Annotated[str, ex.Column("operating point of prune_lenet")]
    bits: Annotated[int, ex.Column("bits per weight")]
    seed: int
    bytes: Annotated[Bytes, ex.Claim("pruning.{network}.{target}.bytes", tolerance=0.0)]
    source_bytes: Annotated[int, ex.MeanOverSeeds("bytes"), ex.Column("bytes before", ",.0f")]
    nonzeros: Annotated[int, ex.MeanOverSeeds(), ex.Column("weights left", ",.0f")]
    test_error_percent: Annotated[
        TestError, ex.Claim("pruning.{network}.{target}.test_error", tolerance=0.02)
    ]
    validation_error_percent: ValidationError
    file: Annotated[Path, ex.Artifact]


class Tried(NamedTuple):
    """All operating points and precisions that were tried.

    Mean ± standard deviation over seeds.
    """

    network: Annotated[str, ex.Key, ex.Panel]
    source: Annotated[str, ex.Key]
    bits: Annotated[int, ex.Key, ex.Axis("bits")]
    seed: int
    bytes: Annotated[int, ex.MeanOverSeeds("bytes"), ex.Axis("bytes", x=True)]
    validation_error_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Axis("validation error, %", "log")
    ]


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Any]:
    """Code every source again, choose, write, decode, test."""
    parts = training.parts_of(data, config.data, config.validation_images)
    error = files.errors_percent(training.lenet(config.network, parts["train"]).apply, parts)
    sources = config.sources or ("trained here",)
    given = {name: [_given(config, name, seed, data) for seed in config.seeds] for name in sources}

    def encode(source: str, number: int, bits: tuple[int, int]) -> bytes:
        return adaptive_file.write_grid(given[source][number][0], {"*/bias": bits[1], "*": bits[0]})

    tried = files.candidates(sources, BITS, len(config.seeds), encode, error["validation"])
    in_budget = [one for one in tried if one.sizes.mean() <= config.budget_bytes]
    in_limit = [one for one in tried if one.errors.mean() <= config.limit_percent]
    chosen = {
        "small": min(in_budget or tried, key=lambda one: (one.errors.mean(), one.sizes.mean())),
        "smallest": min(in_limit or tried, key=lambda one: (one.sizes.mean(), one.errors.mean())),
    }
    rows: list[Any] = [
        Tried(config.network, one.point, one.bits[0], seed, len(content), wrong)
        for one in tried
        for seed, content, wrong in zip(config.seeds, one.contents, one.errors, strict=True)
    ]
    for target, best in chosen.items():
        for number, seed in enumerate(config.seeds):
            path = data.path(f"{target}_{config.network}_{seed}.fwb")
            coding.save(path, best.contents[number])
            labels = (config.network, target, best.point, best.bits[0], seed)
            sizes = (path.stat().st_size, given[best.point][number][1], best.nonzeros[number])
            wrong = error["test"](decoded_networks.decode(path))
            rows.append(Small(*labels, *sizes, wrong, best.errors[number], path))
    return rows


def _given(config: Config, source: str, seed: int, data: ex.Data) -> tuple[Any, int]:
    """A pruned network with sorted units, and the bytes of the file that it comes from."""
    if config.sources:
        content = (FILES / f"{config.network}_{source}_{seed}.fb").read_bytes()
        return pruning.sort_units(coding.params_from_bytes(content)), len(content)
    images = data.images(config.data, "train")
    params = sparse_lenets.pruned(images, seed, jnp.asarray((0.1,)), 300, 100, 1e-3)
    return pruning.sort_units(params), len(coding.params_to_bytes(params, bits=8))


def recompute(config: Config, row: Small, data: ex.Data) -> dict[str, float]:
    test = data.images(config.data, "test")
    return files.recompute(row, training.lenet(config.network, test).apply, test)


EXPERIMENT = ex.of_module(
    __name__,
    (Small, Tried),
    {
        "lenet300": Config(
            "lenet300", sources=("drr_bytes3000", "drr_ratio150"), budget_bytes=2_500,
            limit_percent=2.1, seeds=(0, 1, 2, 3, 4),
        ),
        "lenet5": Config(
            "lenet5", sources=("drr_ratio342", "pmmp_curvature_ratio342", "drr_ratio500"),
            budget_bytes=1_800, limit_percent=1.25, seeds=(0, 1, 2),
        ),
        "smoke": Config(data="digits", validation_images=297),
    },
    # All seeds in one trial: the choice is of means over them.
    grid=lambda config: [(config.network,)],
    together=True,
)  # fmt: skip
