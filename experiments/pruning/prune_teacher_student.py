"""A student prunes itself to the size that its data deserve: test loss against strength, by N.

Teacher [2, 5, 8, 1] and student [2, 25, 25, 1] with tanh, N = 30, 300 and 2000 noisy examples,
full batches, ten seeds (each its own teacher), the published strengths, here in bits for each
weight and divided by N. The loss is the Gaussian code length at the true noise; the authors learn
the noise too.

    python -m experiments prune_teacher_student paper
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.runner.records import Claim, Run, Seconds, write_claims, write_json, write_record
from experiments.runner.registry import Table
from fewbits.coding import units
from fewbits.io.progress import Bar
from fewbits.training import gradient_descent, loop, sweep, trees
from fewbits.training.method import Key, Loss, Params
from pruning import _three_phase, reachability, teacher_student
from pruning.methods import METHODS

DATA_NOTE = "synthetic: teacher networks drawn from each seed, 1,000 validation and 5,000 test"

PUBLISHED_STRENGTHS = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.5, 2, 5, 10)


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    setting: teacher_student.Setting = teacher_student.Setting()
    methods: tuple[str, ...] = ("drr", "pmmp_curvature")
    strengths_bits: tuple[float, ...] = PUBLISHED_STRENGTHS
    """Price of a weight in bits; divided by N, since losses are means over N examples."""
    n_examples: tuple[int, ...] = (30, 300, 2000)
    n_validation: int = 1000
    n_test: int = 5000
    seeds: tuple[int, ...] = tuple(range(10))
    steps: int = 20_000
    fine_tune_steps: int = 5_000
    batch_size: int = 300
    """Fewer examples are taken whole."""
    learning_rate: float = 5e-3
    """Ten times the published rate, and falling, for a fifth of the steps."""
    tolerance: float = 0.01
    lanes_per_chunk: int | None = None


FREE_FIELDS = ("methods", "n_examples")
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "paper": ("all strengths, N and seeds: about an hour on a core", Config()),
    "smoke": (
        "three strengths, two seeds, short training: under a minute",
        Config(
            strengths_bits=(0, 1, 10),
            n_examples=(30, 100),
            seeds=(0, 1),
            steps=400,
            fine_tune_steps=100,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Sweep every method and N, one program each, and record; a cut-off run goes on."""
    results: dict[str, dict[str, Any]] = {}
    seconds, compiled = 0.0, 0.0
    for method in config.methods:
        results[method] = {}
        for n_examples in config.n_examples:
            path = run.folder / "sweeps" / f"{method}_{n_examples}.json"
            if path.is_file():
                stored = json.loads(path.read_text())
                results[method][str(n_examples)] = stored["results"]
                seconds, compiled = seconds + stored["seconds"], compiled + stored["compiled"]
                continue
            with Bar(f"{method}, N = {n_examples}") as bar:
                started = time.perf_counter()
                first: list[float] = []

                def progress(done: int, total: int, first=first, bar=bar) -> None:
                    if done == 0:
                        first.append(time.perf_counter())
                    bar(done, total)

                found = measure(config, method, n_examples, progress)
            took = {"seconds": time.perf_counter() - started, "compiled": first[0] - started}
            write_json(path, {"results": found, **took})
            seconds, compiled = seconds + took["seconds"], compiled + took["compiled"]
            results[method][str(n_examples)] = found
            print(f"{method}, N = {n_examples}: {_summary(config, found)}", flush=True)
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(compiled, seconds - compiled),
        metrics={"results": results},
        data=DATA_NOTE,
        notes="results[method][N][name][strength][seed]; losses are mean squared errors",
    )
    _claim(config, run, results, record.name)


def measure(
    config: Config, method_name: str, n_examples: int, progress: Any = None
) -> dict[str, Any]:
    """All strengths and seeds of one method at one N.

    Returns:
      name -> nested lists [strength][seed].
    """
    setting, named = config.setting, METHODS[method_name]
    student = teacher_student.student_network(setting)
    loss = gaussian_code_length(student.apply, setting.noise)
    method = named.build(loss, config.steps)
    batch_size = config.batch_size if n_examples > config.batch_size else None
    phases = _three_phase.Phases(
        regularise=loop.Plan(config.steps, batch_size, log_points=1),
        fine_tune=loop.Plan(config.fine_tune_steps, batch_size, log_points=1),
        fine_tune_optimizer=gradient_descent.falling_adam(config.fine_tune_steps),
    )

    def squared_error(params: Params, examples: teacher_student.Examples) -> jax.Array:
        return jnp.mean(jnp.square(student.apply(params, examples.inputs) - examples.targets))

    def simplify(key: Key, params: Params) -> Params:
        del key
        return reachability.remove_unreachable(params, activation=jnp.tanh)

    def lane(key: Key, hyperparameters: _three_phase.Point, data: Any) -> dict[str, Any]:
        del data  # each seed draws its own
        key_teacher, key_examples, key_student, key_run = jax.random.split(key, 4)
        teacher = teacher_student.draw_teacher(key_teacher, setting)
        counts = (n_examples, config.n_validation, config.n_test)
        train, validation, test = (
            teacher_student.draw_examples(k, setting, teacher, count)
            for k, count in zip(jax.random.split(key_examples, 3), counts, strict=True)
        )
        pruned = _three_phase.run(
            phases,
            method,
            loss,
            squared_error,
            key_run,
            student.init(key_student),
            hyperparameters,
            train,
            validation,
            simplify,
        )
        return {
            "student": pruned.params,
            "teacher": teacher,
            "nonzeros": trees.nonzeros(pruned.params),
            "train_loss": squared_error(pruned.params, train),
            "validation_loss": squared_error(pruned.params, validation),
            "test_loss": squared_error(pruned.params, test),
            "finite": pruned.finite,
        }

    strengths = units.bits_to_nats(np.asarray(config.strengths_bits)) / n_examples
    point = _three_phase.Point(
        named.hyperparameters(config.learning_rate, jnp.asarray(strengths, jnp.float32)),
        config.tolerance,
        0.0,
        config.learning_rate,
    )
    found = sweep(
        lane,
        point,
        config.seeds,
        runs_per_chunk=config.lanes_per_chunk,
        progress=progress,
    )
    students, teachers = found.pop("student"), found.pop("teacher")

    def is_recovered(point: int, seed: int) -> bool:
        mine, true = (
            jax.tree.map(lambda leaf: leaf[point, seed], tree) for tree in (students, teachers)
        )
        return bool(found["finite"][point, seed]) and teacher_student.recovered(mine, true)

    n_points, n_seeds = found["nonzeros"].shape
    recovered = [[is_recovered(p, s) for s in range(n_seeds)] for p in range(n_points)]
    return {**{name: values.tolist() for name, values in found.items()}, "recovered": recovered}


def gaussian_code_length(apply: Any, noise: float) -> Loss:
    """Mean over examples of ||r||^2 / (2 sigma^2), nats: a Gaussian code up to a constant."""

    def loss(key: Key, params: Params, batch: teacher_student.Examples):
        del key
        residual = apply(params, batch.inputs) - batch.targets
        return 0.5 * jnp.mean(jnp.sum(jnp.square(residual), axis=-1)) / noise**2, {}

    return loss


def best_point(results: dict[str, Any]) -> int:
    """Number of the strength with the least mean validation loss."""
    losses = np.where(results["finite"], results["validation_loss"], np.inf)
    return int(np.argmin(losses.mean(axis=1)))


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """For each method and N: the best strength, the size it leads to, the loss it saves."""
    if "paper" not in records:
        return []
    record = records["paper"]
    strengths = record["config"]["strengths_bits"]
    noise = record["config"]["setting"]["noise"] ** 2
    rows: list[tuple[Any, ...]] = []
    for method, by_size in record["metrics"]["results"].items():
        for n_examples, results in by_size.items():
            best = best_point(results)
            test = np.asarray(results["test_loss"]) - noise
            nonzeros = np.asarray(results["nonzeros"])
            rows.append(
                (
                    METHODS[method].title,
                    n_examples,
                    f"{strengths[best]:g}",
                    f"{nonzeros[best].mean():.0f} ± {nonzeros[best].std(ddof=1):.0f}",
                    f"{test[best].mean():.2e} ± {test[best].std(ddof=1):.1e}",
                    f"{test[0].mean():.2e} ± {test[0].std(ddof=1):.1e}",
                    f"{np.sum(results['recovered'], axis=1).max()} / {nonzeros.shape[1]}",
                )
            )
    columns = (
        "method",
        "N",
        "best strength, bits a weight",
        "nonzeros (teacher: 72, student: 751)",
        "excess test loss",
        "without a penalty",
        "teachers recovered (best strength for it)",
    )
    note = (
        "Chosen on validation; excess over the noise's variance; mean ± standard deviation over "
        "seeds. Recovered: equal normal forms within a tenth of the largest weight."
    )
    return [Table("Teacher and student", columns, rows, note)]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Test loss and nonzeros against strength, one pair of axes for each method."""
    if "paper" not in records:
        return {}
    from experiments.runner import plots  # not needed where students are trained

    record = records["paper"]
    strengths = np.asarray(record["config"]["strengths_bits"], float)
    shown = np.where(strengths > 0, strengths, strengths[strengths > 0].min() / 3)
    noise = record["config"]["setting"]["noise"] ** 2
    drawn = {}
    for method, by_size in record["metrics"]["results"].items():
        figure, (losses, sizes) = plots.subplots(2)
        for n_examples, results in by_size.items():
            excess = np.mean(results["test_loss"], axis=1) - noise
            losses.plot(shown, excess, "o-", label=f"N = {n_examples}")
            sizes.plot(shown, np.mean(results["nonzeros"], axis=1), "o-", label=f"N = {n_examples}")
        losses.set(xscale="log", yscale="log", ylabel="excess test loss")
        sizes.set(xscale="log", yscale="log", ylabel="nonzeros")
        sizes.axhline(72, color=plots.PUBLISHED, linestyle="--", label="teacher")
        for axis in (losses, sizes):
            axis.set_xlabel("strength, bits a weight (leftmost: none)")
            axis.legend(fontsize=7)
        losses.set_title(METHODS[method].title, loc="left")
        drawn[f"{method}_curves"] = figure
    return drawn


def _summary(config: Config, results: dict[str, Any]) -> str:
    best = best_point(results)
    test = np.asarray(results["test_loss"]).mean(axis=1) - config.setting.noise**2
    return (
        f"best at {config.strengths_bits[best]:g} bits: "
        f"{np.mean(results['nonzeros'][best]):.0f} weights, excess {test[best]:.2e} "
        f"(without a penalty {test[0]:.2e}), recovered "
        f"{np.sum(results['recovered'], axis=1).tolist()}"
    )


def _claim(config: Config, run: Run, results: dict[str, Any], record: str) -> None:
    """How much of the excess test loss the best strength removes at the smallest N."""
    smallest = str(min(config.n_examples))
    claims = []
    for method, by_size in results.items():
        excess = np.asarray(by_size[smallest]["test_loss"]).mean(axis=1) - config.setting.noise**2
        best = best_point(by_size[smallest])
        claims.append(
            Claim(
                f"pruning.teacher_student.{method}.excess_at_{smallest}",
                float(excess[best] / excess[0]),
                None,
                len(config.seeds),
                "of that without a penalty",
                f"{run.experiment}/{record}",
                run.command,
            )
        )
    write_claims(run, claims)
