"""Gaussian mixtures: JAX EM against scikit-learn in one run.

Runs `benchmarks/em_vs_sklearn.py` in a subprocess. The sweep is that of "Latent Gaussian
Compression": ten classes, K = 1 to 10, 50,000 latents of 64 dimensions, full covariances.

Cost: paper: 15 min on 2 cores; smoke: 20 s.
Data: synthetic.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner import subprocesses


@dataclass(frozen=True)
class Config:
    classes: int = 10
    samples: int = 50_000
    """Of all classes together."""
    components: int = 10
    repeats: int = 1
    variants: tuple[str, ...] = ("float32", "float32_one_thread")
    """Ways of running scikit-learn: with its defaults, and with one thread, which is faster."""


class Row(NamedTuple):
    """EM: how many times faster than scikit-learn.

    Ratios of warm wall time within one run, median over repeats: against scikit-learn with its
    default threads, and with one, which suits its small products better. Both are checked on one
    class, with a wide tolerance; the first on an idle machine only, where its threads do not wait.
    """

    variant: Annotated[str, ex.Key, ex.Column("scikit-learn with")]
    repeat: int
    seconds_ours: float
    seconds_sklearn: float
    ratio: Annotated[
        float, ex.Over(np.median, "times", spread=True), ex.Column("times as fast", ".1f"),
        ex.Claim("lgc.em.speedup_vs_sklearn", 9.0, when=lambda row: row.variant == "float32"),
        ex.Claim("lgc.em.speedup_vs_one_thread", 3.0,
                 when=lambda row: row.variant == "float32_one_thread"),
    ]  # fmt: skip


class Fits(NamedTuple):
    """Compilation and likelihoods of the same run.

    One compilation serves every class. From the same start both sides reach the same likelihood (a
    test); here each has its own k-means start. The difference is the mean over all fits with its
    standard error.
    """

    cpus: Annotated[int, ex.Column("cores")]
    seconds_compile: Annotated[float, ex.Column("compilation, s", ".1f")]
    ratio_with_compile: Annotated[
        float, ex.Column("times as fast as the fastest variant, with compilation", ".1f")
    ]
    difference: Annotated[
        float, ex.Column("log-likelihood, ours minus theirs, nats/sample", "+.2f")
    ]
    error: Annotated[float, ex.Column("standard error", ".2f")]


def measure(config: Config, trials: list[tuple], data: ex.Data) -> ex.Measurement:
    """Run the benchmark; its whole record is in the extras."""
    flags = [f"--{name}={value}" for name, value in asdict(config).items() if name != "variants"]
    flags += ["--variants", *config.variants]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "em.json"
        subprocesses.python("benchmarks.em_vs_sklearn", [*flags, f"--record={path}"])
        measured = json.loads(path.read_text())
    rows = [
        Row(name, repeat, ours, theirs, theirs / ours)
        for name, seconds in measured["seconds_sklearn"].items()
        for repeat, (ours, theirs) in enumerate(zip(measured["seconds_ours"], seconds, strict=True))
    ]
    gain = measured["log_likelihood_difference_nats_per_sample"]
    fits = Fits(
        measured["cpus"], measured["seconds_compile"], measured["ratio_with_compile"],
        gain["mean"], gain["error"],
    )  # fmt: skip
    return ex.Measurement([*rows, fits], {"benchmark": measured})


def recompute(config: Config, row: Row, data: ex.Data) -> float | None:
    """The ratio of one class of the same size."""
    if row.variant == "float32" and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        return None
    one = replace(config, classes=1, samples=config.samples // config.classes, repeats=1)
    return measure(replace(one, variants=(row.variant,)), [], data).rows[0].ratio


EXPERIMENT = ex.of_module(
    __name__,
    (Row, Fits),
    {"paper": Config(), "smoke": Config(2, 1_000, 2, variants=("float32_one_thread",))},
    data="synthetic latents of a ReLU bottleneck, see benchmarks/em_vs_sklearn.py",
    headline="lgc.em.speedup_vs_sklearn",
)
