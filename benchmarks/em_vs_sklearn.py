"""How much faster is `lgc.gmm.sweep` than scikit-learn at the same BIC sweep?

For every class, Gaussian mixtures of 1 to K full-covariance components, none skipped, and the BIC
of each. Both sides: k-means start, one start per mixture, the same tolerance, iteration limit and
reg_covar, the same samples, float32 here. scikit-learn gets its best chance: float32 and float64
input, its default threads and a single one (its products are small, and BLAS threads that spin
while they wait for each other can cost it more than they bring). The headline is the ratio to the
fastest of these; the others stand beside it. The two sides take turns class by class, so that
what else runs on the machine falls on both.

  python -m benchmarks.em_vs_sklearn --record em.json              10 classes of 5,000, 64-D
  python -m benchmarks.em_vs_sklearn --classes 2 --samples 4000    a quick look
  python -m benchmarks.em_vs_sklearn --latents latents.npz         arrays `latents` and `labels`

The ratio is warm: one compilation serves every class and data set of the same shape, and is
reported beside it, with the ratio that includes it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from fewbits.io.outputs import open_output
from lgc.gmm import component_counts, em

VARIANTS = {
    "float32": (np.float32, None),
    "float64": (np.float64, None),
    "float32_one_thread": (np.float32, 1),
    "float64_one_thread": (np.float64, 1),
}


def synthetic_latents(
    n_classes: int, per_class: int, n_dimensions: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """What a ReLU bottleneck gives: clusters per class, correlations, zeros, dead dimensions.

    Each class is a mixture of 3 to 7 Gaussians in a hidden space of 24 dimensions, pushed through
    one random layer that the classes share, its noise and a ReLU; ten outputs are always zero.
    """
    rng = np.random.default_rng(0)
    n_hidden = 24
    layer = rng.normal(size=(n_hidden, n_dimensions)) * 3 / np.sqrt(n_hidden)
    offset = rng.normal(size=n_dimensions)
    dead = rng.choice(n_dimensions, size=n_dimensions * 10 // 64, replace=False)
    latents = []
    for _ in range(n_classes):
        n_clusters = rng.integers(3, 8)
        middle = rng.normal(size=n_hidden) + 1.2 * rng.normal(size=(n_clusters, n_hidden))
        spread = rng.normal(size=(n_clusters, n_hidden, n_hidden)) / 4
        cluster = rng.choice(n_clusters, size=per_class, p=rng.dirichlet(np.full(n_clusters, 5)))
        noise = rng.normal(size=(per_class, n_hidden))
        hidden = middle[cluster] + np.einsum("nij,nj->ni", spread[cluster], noise)
        outputs = hidden @ layer + offset + 0.3 * rng.normal(size=(per_class, n_dimensions))
        outputs[:, dead] = 0
        latents.append(np.maximum(outputs, 0))
    return np.concatenate(latents), np.repeat(np.arange(n_classes), per_class)


class Stopwatch:
    """Wall and CPU seconds of a `with` block."""

    def __enter__(self):
        """Starts."""
        self.begin = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        """Stops."""
        wall, cpu = self.begin
        self.wall, self.cpu = time.perf_counter() - wall, time.process_time() - cpu


def run_sklearn(samples: np.ndarray, config: em.Config, counts: range, variant: str, seed: int):
    """The time one class takes, and log-likelihood, BIC and iterations of every count."""
    dtype, threads = VARIANTS[variant]
    samples = samples.astype(dtype)
    limit = threadpool_limits(threads) if threads else contextlib.nullcontext()
    with limit, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with Stopwatch() as watch:
            mixtures = [
                GaussianMixture(
                    count,
                    tol=config.tolerance,
                    reg_covar=config.reg_covar,
                    max_iter=config.max_iterations,
                    random_state=seed,
                ).fit(samples)
                for count in counts
            ]
            bics = [float(mixture.bic(samples)) for mixture in mixtures]
        likelihoods = [float(mixture.score(samples)) for mixture in mixtures]
    return watch, likelihoods, bics, [mixture.n_iter_ for mixture in mixtures]


def compile_sweep(config: em.Config, counts: range, n_samples: int, n_dimensions: int):
    """The sweep of one class as a compiled program, run once so that nothing is left to load."""
    samples = jnp.zeros((1, n_samples, n_dimensions))
    arguments = (jax.random.key(0), samples, jnp.ones((1, n_samples), bool))
    with Stopwatch() as watch:
        jitted = jax.jit(
            lambda key, samples, mask: component_counts.sweep(key, samples, mask, config, counts)
        )
        compiled = jitted.lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    return compiled, watch


def read_classes(arguments: argparse.Namespace) -> list[np.ndarray]:
    """The samples of each class, float32."""
    if arguments.latents is None:
        per_class = arguments.samples // arguments.classes
        latents, labels = synthetic_latents(arguments.classes, per_class)
    else:
        try:
            with np.load(arguments.latents, allow_pickle=False) as archive:
                latents, labels = archive["latents"], archive["labels"]
        except (OSError, ValueError, KeyError) as error:
            print(
                f"{arguments.latents}: needs arrays latents and labels ({error})", file=sys.stderr
            )
            raise SystemExit(2) from error
        latents, labels = latents[: arguments.samples], labels[: arguments.samples]
    chosen = np.unique(labels)[: arguments.classes]
    return [latents[labels == label].astype(np.float32) for label in chosen]


def compare(classes: list[np.ndarray], config: em.Config, counts: range, arguments) -> dict:
    """Both sides over all classes, in turns; everything the record says about them."""
    n_places, n_dimensions = max(map(len, classes)), classes[0].shape[1]
    sweep, compiling = compile_sweep(config, counts, n_places, n_dimensions)
    sides = ["ours", *arguments.variants]
    wall, cpu = ({side: np.zeros(arguments.repeats) for side in sides} for _ in range(2))
    likelihoods, bics, iterations = ({side: [] for side in sides} for _ in range(3))
    finite = True
    for repeat in range(arguments.repeats):
        for index, samples in enumerate(classes):
            padding = n_places - len(samples)
            data = jnp.asarray(np.pad(samples, ((0, padding), (0, 0))))[None]
            mask = jnp.arange(n_places)[None] < len(samples)
            key = jax.random.fold_in(jax.random.key(repeat), index)
            line = f"repeat {repeat} class {index}:"
            for side in sides:
                if side == "ours":
                    with Stopwatch() as watch:
                        swept = jax.block_until_ready(sweep(key, data, mask))
                    finite &= bool(swept.infos.finite.all())
                    found = (swept.infos.log_likelihood, swept.bic, swept.infos.iterations)
                    scores = [np.asarray(leaf[0]).tolist() for leaf in found]
                else:
                    watch, *scores = run_sklearn(samples, config, counts, side, repeat)
                wall[side][repeat] += watch.wall
                cpu[side][repeat] += watch.cpu
                for kept, score in zip((likelihoods, bics, iterations), scores, strict=True):
                    kept[side].append(score)
                line += f" {side} {watch.wall:.2f} s"
            print(line, flush=True)

    ratios = {name: spread(wall[name] / wall["ours"]) for name in arguments.variants}
    fastest = min(arguments.variants, key=lambda name: wall[name].sum())
    gains = np.subtract(likelihoods["ours"], likelihoods[fastest])
    chosen = {side: [counts[int(np.argmin(row))] for row in bics[side]] for side in sides}
    with_compile = np.median(wall["ours"]) + compiling.wall
    return {
        "value": ratios[fastest]["median"],
        "unit": "x",
        "baseline": fastest,
        "ratios": ratios,
        "cpu_ratios": {name: spread(cpu[name] / cpu["ours"]) for name in arguments.variants},
        "ratio_with_compile": float(np.median(wall[fastest]) / with_compile),
        "seconds_ours": wall["ours"].tolist(),
        "seconds_compile": compiling.wall,
        "seconds_sklearn": {name: wall[name].tolist() for name in arguments.variants},
        "cpu_seconds": {side: seconds.tolist() for side, seconds in cpu.items()},
        "cpu_seconds_compile": compiling.cpu,
        # The two sides draw different starts, and EM keeps the optimum that its start is near:
        # the standard error says how much of the difference is that draw.
        "log_likelihood_difference_nats_per_sample": spread(gains)
        | {"mean": float(gains.mean()), "error": float(gains.std() / np.sqrt(gains.size))},
        "best_bic_gain_nats": float(
            np.mean(np.min(bics[fastest], axis=1) - np.min(bics["ours"], axis=1))
        ),
        "bic_choices_equal": float(np.mean(np.equal(chosen["ours"], chosen[fastest]))),
        "components_chosen": chosen,
        "iterations": iterations,
        "all_finite": finite,
    }


def spread(values: np.ndarray) -> dict[str, float]:
    """Least, median and greatest."""
    return {
        "min": float(np.min(values)),
        "median": float(np.median(values)),
        "max": float(np.max(values)),
    }


def main() -> None:
    """Prints, and perhaps writes, the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", type=Path, help="JSON file to write")
    parser.add_argument("--latents", type=Path, help=".npz with arrays `latents` and `labels`")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--samples", type=int, default=50_000, help="of all classes together")
    parser.add_argument("--components", type=int, default=10, help="largest number")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    classes = read_classes(arguments)
    config = em.Config(max_iterations=200)
    counts = range(1, arguments.components + 1)
    record = {"id": "lgc.em.speedup_vs_sklearn", **compare(classes, config, counts, arguments)}
    record |= {
        "samples_per_class": [len(samples) for samples in classes],
        "n_dimensions": classes[0].shape[1],
        "data": "synthetic" if arguments.latents is None else arguments.latents.name,
        "counts": list(counts),
        "config": asdict(config),
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
        },
        "command": " ".join(["python -m benchmarks.em_vs_sklearn", *sys.argv[1:]]),
    }
    for name, ratio in record["ratios"].items():
        print(
            f"{name:20} {ratio['median']:6.1f} times our time"
            f" ({ratio['min']:.1f} to {ratio['max']:.1f});"
            f" {record['cpu_ratios'][name]['median']:.1f} times our CPU seconds"
        )
    gain = record["log_likelihood_difference_nats_per_sample"]
    print(
        f"speed-up over the fastest, {record['baseline']}: {record['value']:.1f};"
        f" {record['ratio_with_compile']:.1f} with {record['seconds_compile']:.1f} s of compiling\n"
        f"log-likelihood {gain['mean']:+.3f} +- {gain['error']:.3f} nats per sample,"
        f" best BIC {record['best_bic_gain_nats']:+.0f} nats better,"
        f" same number of components in {record['bic_choices_equal']:.0%} of classes"
    )
    if arguments.record:
        with open_output(arguments.record, force=True) as file:
            file.write((json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
