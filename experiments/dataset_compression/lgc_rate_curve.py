"""Accuracy against bytes: files searched for a budget, and the strongest subset of the same bytes.

For every data set and budget two things are chosen on validation images: what
`lgc.distillation.budget_search` makes of the budget, and the best baseline among lossless and lossy
subsets, at random or as coresets, drawn as they are or moved like ours. Then every seed writes its
files, a fresh process decodes and draws 60,000 images from each, and three students are trained on
them with hard labels and tested on the official test set. A run that was cut off goes on with the
next cell.

    python -m experiments lgc_rate_curve cpu
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.common import downstream as students
from experiments.common.downstream import StudentConfig
from experiments.dataset_compression import lgc_rate_curve_choices as choices
from experiments.dataset_compression import lgc_rate_curve_tables
from experiments.dataset_compression.lgc_rate_curve_tables import mean_of
from experiments.runner.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.runner.registry import Table
from experiments.runner.statistics import mean_with
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.datasets import Images
from lgc.coresets.downsampling import Downsampling
from lgc.coresets.strategies import CORESETS
from lgc.distillation.augmentation import NONE, Augmentation
from lgc.distillation.search_config import DistillConfig

ARMS = ("ours", "subset")
CLAIMED_UP_TO = 100_000
"""Bytes: larger files are measured, not kept."""
STAGES = ("ours", "lit", "refined", "subset")
"""Of choosing: whether to light and to refine is asked when all else is chosen."""


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    budgets: tuple[int, ...] = (12_000, 30_000, 100_000)
    """Bytes, with all seeds."""
    first_seed_budgets: tuple[int, ...] = (1_000, 3_000, 300_000, 1_000_000)
    """With the first seed alone, to draw the curve."""
    students: dict[str, StudentConfig] = field(
        default_factory=lambda: {
            "report_cnn": StudentConfig(steps=8_000, falling=True),
            "lenet5": StudentConfig("lenet_5_caffe", 4_000, 64, 1e-3, None, True),
            "convnet": StudentConfig("convnet", 4_000, 64, 2e-3, 32, True),
        }
    )
    first_seed_students: tuple[str, ...] = ("lenet5",)
    """Trained with the first seed alone."""
    trial: StudentConfig = StudentConfig(steps=4_000, falling=True)
    """Judges baselines on validation images."""
    second_trial: StudentConfig = StudentConfig("convnet", 1_000, 64, 2e-3, 32, True)
    """Decides between baselines that `trial` finds alike."""
    search: DistillConfig = DistillConfig()
    lit: tuple[str, ...] = ()
    """Data sets that are asked how strongly to light, which takes ten minutes a budget."""
    refined_up_to: dict[str, int] = field(
        default_factory=lambda: {"mnist": 0, "fashion_mnist": 30_000}
    )
    """Largest budget, by data set, that is asked whether to refine, which takes ten minutes."""
    orders: tuple[str, ...] = tuple(CORESETS)
    coresets_up_to: int = 30_000
    """Largest budget whose baselines try coresets, which takes five minutes each of many images;
    below it none has beaten random images."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    per_class: int = 6_000
    trial_per_class: int = 2_000
    validation_images: int = 5_000
    train_images: int | None = None
    """The first so many; all but the validation images if not given."""


FREE_FIELDS = ("seeds", "data", "budgets", "first_seed_budgets")
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

_QUICK = DistillConfig(
    downsamplings=(Downsampling(1, 1), Downsampling(2, 2)), augmentations=(NONE,),
    candidate_upsampler_steps=20, upsampler_steps=20, screening_steps=20, final_steps=20,
    finalists=1, proxy_images_per_class=100, proxy_width=4, proxy_batch_size=32, strategies=(),
    distillation_steps=4, evaluation_seeds=1, brightness_percent=(30,),
)  # fmt: skip

PRESETS = {
    "cpu": ("MNIST and Fashion-MNIST, ConvNet of width 32: hours on 2 cores", Config()),
    "smoke": (
        "2,000 MNIST images, one budget, two seeds, short training: minutes",
        Config(
            data=("mnist",),
            lit=("mnist",),
            refined_up_to={"mnist": 2_000},
            budgets=(2_000,),
            first_seed_budgets=(),
            students={"report_cnn": StudentConfig(steps=300)},
            first_seed_students=(),
            trial=StudentConfig(steps=100),
            second_trial=StudentConfig("convnet", 20, 64, 2e-3, 4, True),
            search=_QUICK,
            orders=("herding",),
            seeds=(0, 1),
            per_class=200,
            trial_per_class=100,
            validation_images=500,
            train_images=2_000,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Choose, write, decode in fresh processes, train and test; cell by cell."""
    rows, chosen, began = [], [], time.perf_counter()
    for name in config.data:
        whole = datasets.load(name, "train", data_dir=run.data_dir)
        train, validation = datasets.split_validation(whole, config.validation_images)
        train = train.first(config.train_images)
        test = datasets.load(name, "test", data_dir=run.data_dir)
        for size in (*config.budgets, *config.first_seed_budgets):
            ours, lit, refined, subset = (
                run.folder / "choices" / f"{name}_{size}_{stage}.json" for stage in STAGES
            )
            title = f"{name}, {size:,} bytes"
            mine = kept(ours, partial(choices.choose, config.search, title, size, train))
            if name in config.lit:
                light = partial(choices.light, config.search, title, size, train, mine)
                mine = kept(lit, light)
            if size <= config.refined_up_to.get(name, 0):
                refine = partial(choices.refine, config.search, title, size, train, mine)
                mine = kept(refined, refine)
            best = partial(
                choices.choose_subset, config.search, config.trial, config.second_trial,
                config.orders if size <= config.coresets_up_to else (),
                config.trial_per_class, size, train, validation, Augmentation(*mine["moves"]),
            )  # fmt: skip
            choice = {"data": name, "budget": size, "ours": mine, **kept(subset, best)}
            chosen.append(choice)
            seeds = config.seeds if size in config.budgets else config.seeds[:1]
            for seed in seeds:
                for arm in ARMS:
                    path = run.folder / "cells" / f"{name}_{size}_{arm}_{seed}.json"
                    cell = partial(_measure, config, run, choice, arm, seed, train, test)
                    rows.append(kept(path, cell))
                    print(lgc_rate_curve_tables.line(rows[-1]), flush=True)
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"rows": rows, "choices": chosen},
        data="; ".join(datasets.SOURCES[name].note for name in config.data),
        notes="accuracies in percent on the official test set, trials' on validation images; "
        "seconds.run is the last session's",
    )
    if run.preset != "smoke":
        write_claims(run, _claims(config, run, rows, record))


def _measure(
    config: Config,
    run: Run,
    choice: dict[str, Any],
    arm: str,
    seed: int,
    train: Images,
    test: Images,
) -> dict[str, Any]:
    """One file, decoded in a fresh process, and the students trained on it."""
    name, size, mine = choice["data"], choice["budget"], choice[arm]
    # Refining takes ten minutes: its file is written once, for the first seed.
    file_seed = config.seeds[0] if mine.get("refinement_steps") else seed
    path = _path(config, run, name, size, arm, file_seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if file_seed == seed or not path.exists():
        chosen = choices.point(mine)
        container.save(path, choices.file(config.search, train, size, chosen, file_seed))
    decoded = decoded_sets.from_archive(path, config.per_class, seed)
    accuracies = {}
    for student, settings in config.students.items():
        if student in config.first_seed_students and seed != config.seeds[0]:
            continue
        began = time.perf_counter()
        accuracies[student] = students.accuracy_percent(settings, decoded, test, seed)
        took = time.perf_counter() - began
        print(f"  {name}, {size:,}, {arm}, {student}: {accuracies[student]:.2f} % in {took:.0f} s")
    return {
        "data": name,
        "budget": size,
        "arm": arm,
        "seed": seed,
        "bytes": path.stat().st_size,
        "file": path.name,
        "accuracy_percent": accuracies,
    }


def _path(config: Config, run: Run, name: str, size: int, arm: str, seed: int) -> Path:
    """The first seed's files of claimed budgets are kept."""
    kept = run.preset != "smoke" and seed == config.seeds[0] and size <= CLAIMED_UP_TO
    return (run.artifacts if kept else run.folder / "files") / f"{name}_{size}_{arm}_{seed}.lgc"


def _claims(config: Config, run: Run, rows: list[dict[str, Any]], record: Path) -> list[Claim]:
    sizes = [n for n in (*config.budgets, *config.first_seed_budgets) if n <= CLAIMED_UP_TO]
    claims = []
    for name, size, arm, student in product(config.data, sizes, ARMS, ("convnet", "report_cnn")):
        found = mean_of(rows, name, size, arm, student)
        first = next(r for r in rows if (r["data"], r["budget"], r["arm"]) == (name, size, arm))
        suffix = "" if arm == "ours" else ".best_subset"
        claims.append(
            Claim(
                f"lgc.{name}.{size // 1000}kB.{student}{suffix}",
                found.mean,
                found.std,
                found.count,
                "%",
                f"lgc_rate_curve/{record.name}",
                run.command,
                tolerance=0.5,
                bytes=first["bytes"],
                artifact=first["file"],
            )
        )
    return claims


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """The first seed's student again, averaged with the other seeds' as recorded; percent."""
    _, name, size, student, *_ = claim.id.split(".")
    config, first = record["config"], record["seeds"][0]
    test = datasets.load(name, "test", data_dir=data_dir)
    decoded = decoded_sets.from_archive(artifact, config["per_class"], seed=first)
    settings = StudentConfig(**config["students"][student])
    found = students.accuracy_percent(settings, decoded, test, first)
    arm = "subset" if claim.id.endswith(".best_subset") else "ours"
    rows = [
        {"seed": row["seed"], **row["accuracy_percent"]}
        for row in record["metrics"]["rows"]
        if (row["data"], row["budget"], row["arm"]) == (name, 1000 * int(size[:-2]), arm)
    ]
    return mean_with(found, rows, student, first)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Accuracy of every student at every budget."""
    return lgc_rate_curve_tables.tables(records)


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Accuracy against bytes, one panel for each data set."""
    return lgc_rate_curve_tables.figures(records)
