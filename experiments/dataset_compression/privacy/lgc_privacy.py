"""Does an archive tell who was in it? Distances of what it draws, and membership inference.

The report says that its compression "anonymizes" and never tests it. Here an archive is made of a
random half of a pool of images. An attacker who has it, and made 16 others of other halves
(*shadows*), says of every image of the pool whether it was in (`lgc.privacy.membership`): by the
scores of `lgc.privacy.inversion`, raw and calibrated by the shadows, online and offline. A mode's
number is that of the strongest attack on it. Beside it: how much closer drawn images lie to the
archive's half than to the other (`lgc.privacy.distance_ratios`). A lossy subset, which holds its
images, is the control that must leak.

Small training sets leak more than large ones: `paper` makes archives of half of MNIST, `small` of
5,000 images. A run that was cut off goes on.

    python -m experiments lgc_privacy paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_sets
from experiments.dataset_compression.privacy import (
    lgc_privacy_tables,
    privacy_archives,
    privacy_attacks,
)
from experiments.dataset_compression.privacy.privacy_archives import Pool
from experiments.runner.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.runner.registry import Table, aligned
from fewbits.coding import container
from fewbits.io import datasets
from fewbits.io.progress import Bar
from lgc import Config as Compression
from lgc.coresets import lossy_subset
from lgc.coresets.downsampling import Downsampling
from lgc.privacy import inversion
from lgc.privacy.inversion import InversionConfig

CONTROL = "lossy_subset"
MODES = {
    "ae": Compression(variant="ae", components=3),
    "ae_diagonal": Compression(variant="ae", components=8, covariance="diagonal"),
    "vae": Compression(variant="vae", components=1),
}
"""The report's autoencoders; as many components as BIC chose there, so that shapes are fixed."""
SHOWN = ("paper", "small")
"""Presets that RESULTS shows."""


@dataclass(frozen=True)
class Config:
    """One run of the experiment.

    Attributes:
      data: name of the data set.
      modes: of `MODES`, beside the control.
      per_class: images of each class in the pool; an archive holds half.
      control_per_class: the same for the control.
      shadows: archives that the attacker makes, an even number.
      targets: archives that are attacked, each by itself.
      epochs: of each autoencoder.
      hidden: width of the autoencoders' layers.
      latent: numbers per image.
      batch_size: of their training.
      inversion: see there.
      drawn_per_class: images drawn from each target for the distances.
      neighbours: of each drawn image that are looked at.
      permutations: of the distances' test.
      lanes_per_chunk: autoencoders side by side; one is fastest on a CPU, None takes many.
      seed: of everything.
    """

    data: str = "mnist"
    modes: tuple[Literal["ae", "ae_diagonal", "vae"], ...] = ("ae", "ae_diagonal", "vae")
    per_class: int = 5_400
    control_per_class: int = 40
    shadows: int = 16
    targets: int = 5
    epochs: int = 30
    hidden: int = 128
    latent: int = 64
    batch_size: int = 256
    inversion: InversionConfig = InversionConfig()
    drawn_per_class: int = 200
    neighbours: int = 16
    permutations: int = 999
    lanes_per_chunk: int | None = 1
    seed: int = 0


FREE_FIELDS = ("modes",)
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "paper": ("three modes of mixtures, 16 shadows and 5 targets of 27,000 MNIST images", Config()),
    "small": ("the same, of 5,000 images", Config(per_class=1_000)),
    "smoke": (
        "one mode, 4 shadows, 1 target of 300 of the embedded digits",
        Config(
            data="digits",
            modes=("ae",),
            per_class=60,
            control_per_class=10,
            shadows=4,
            targets=1,
            epochs=5,
            hidden=32,
            latent=8,
            batch_size=64,
            inversion=InversionConfig(draws=100, steps=5),
            drawn_per_class=20,
            permutations=99,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Make all archives, score the pool under each, attack the targets."""
    train = datasets.load(config.data, "train", data_dir=run.data_dir)
    rows = []
    for mode in (*config.modes, CONTROL):
        path = run.folder / "rows" / f"{mode}.json"
        rows.append(kept(path, partial(_measure, config, run, mode, train)))
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=range(config.targets),
        seconds=Seconds(
            sum(row["archive_seconds"] for row in rows), sum(row["attack_seconds"] for row in rows)
        ),
        metrics={"rows": rows},
        data=datasets.SOURCES[config.data].note,
        notes="seconds.compile is making the archives, seconds.run attacking them; both with "
        "their compilation; seeds are the targets",
    )
    if run.preset == "paper":
        write_claims(run, [_claim(run, rows, record)])
    print(aligned([lgc_privacy_tables.COLUMNS, *lgc_privacy_tables.summaries(rows)]))


def _measure(config: Config, run: Run, mode: str, train: datasets.Images) -> dict[str, Any]:
    began = time.perf_counter()
    per_class = config.control_per_class if mode == CONTROL else config.per_class
    pool = privacy_archives.make_pool(train, per_class)
    key = jax.random.key(config.seed)
    key_shadows, key_targets, key_test = jax.random.split(key, 3)
    classes = jnp.asarray(pool.classes)
    inside = privacy_attacks.random_halves(key_shadows, classes, config.shadows)
    of_targets = privacy_attacks.random_halves(key_targets, classes, 2 * config.targets)
    targets = np.asarray(of_targets[: config.targets])
    halves = np.concatenate([inside, targets])
    folder = run.folder / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {number: folder / f"{mode}_{number}.lgc" for number in range(len(halves))}
    with Bar(mode) as bar:
        if mode == CONTROL:
            privacy_archives.write_subsets(paths, pool, halves, Downsampling())
        else:
            settings = _compression(config, mode)
            privacy_archives.write_mixtures(
                paths,
                pool,
                halves,
                settings,
                config.seed,
                runs_per_chunk=config.lanes_per_chunk,
                progress=bar,
            )
        made = time.perf_counter()
        scores = {}
        for number, path in paths.items():
            bar("scoring the pool", number, len(paths))
            for name, values in _scores(config, mode, path, pool, number).items():
                scores.setdefault(name, []).append(values)
        bar("scoring the pool", len(paths), len(paths))
    stacked = {name: jnp.stack(values) for name, values in scores.items()}
    attacks = privacy_attacks.attacks(stacked, inside, jnp.asarray(targets))
    strongest = max(attacks, key=lambda attack: np.mean(attack["auc"]))
    distances = [
        privacy_attacks.distances(
            key,
            _drawn(config, mode, paths[config.shadows + place]),
            pool,
            members,
            neighbours=config.neighbours,
            permutations=config.permutations,
        )
        for place, (members, key) in enumerate(
            zip(targets, jax.random.split(key_test, len(targets)), strict=True)
        )
    ]
    return {
        "mode": mode,
        "pool": len(pool.classes),
        "bytes": [paths[config.shadows + place].stat().st_size for place in range(len(targets))],
        "attacks": [{k: v for k, v in attack.items() if k != "roc"} for attack in attacks],
        "strongest": attacks.index(strongest),
        "roc": strongest["roc"],
        "distances": distances,
        "archive_seconds": made - began,
        "attack_seconds": time.perf_counter() - made,
    }


def _compression(config: Config, mode: str) -> Compression:
    chosen = MODES[mode]
    # A smoke test's classes are too few for more than one component each.
    fewest = max(1, min(chosen.components or 1, config.per_class // 100))
    return replace(
        chosen,
        epochs=config.epochs,
        hidden=config.hidden,
        latent=config.latent,
        batch_size=config.batch_size,
        components=fewest,
    )


def _scores(config: Config, mode: str, path: Path, pool: Pool, number: int) -> dict[str, jax.Array]:
    """Scores of every image of the pool under one archive; kept beside it."""
    kept = path.with_suffix(".npy")
    names = ("nearness",) if mode == CONTROL else inversion.Scores._fields
    if not kept.is_file():
        data = container.load_bytes(path)
        if mode == CONTROL:
            found = privacy_attacks.control_scores(data, pool)
        else:
            key = jax.random.fold_in(jax.random.key(config.seed), number)
            found = privacy_attacks.mixture_scores(data, pool, key, config.inversion)
        temporary = kept.with_suffix(".tmp.npy")
        np.save(temporary, found.astype(np.float32))
        temporary.replace(kept)
    return dict(zip(names, jnp.asarray(np.load(kept)), strict=True))


def _drawn(config: Config, mode: str, path: Path) -> np.ndarray:
    """Images that a fresh process has drawn; the control's own images, which it cannot draw."""
    if mode == CONTROL:
        return lossy_subset.read(container.load_bytes(path))[0]
    return decoded_sets.from_archive(path, config.drawn_per_class, config.seed)[0]


def _claim(run: Run, rows: list[dict[str, Any]], record: Path) -> Claim:
    """The strongest attack on any mode of mixtures."""
    of_mixtures = [row for row in rows if row["mode"] != CONTROL]
    areas = max((row["attacks"][row["strongest"]]["auc"] for row in of_mixtures), key=np.mean)
    return Claim(
        id="lgc.privacy.membership_auc",
        value=float(np.mean(areas)),
        std=float(np.std(areas, ddof=1)) if len(areas) > 1 else None,
        seeds=len(areas),
        unit="",
        record=f"lgc_privacy/{record.name}",
        command=run.command,
    )


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """The strongest attack on each mode, and all attacks."""
    shown = [records[name]["metrics"]["rows"] for name in SHOWN if name in records]
    return [table for rows in shown for table in lgc_privacy_tables.tables(rows)]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """ROC curves of the strongest attacks, and distance ratios."""
    return {
        f"{name}_attacks": lgc_privacy_tables.figure(records[name]["metrics"]["rows"])
        for name in SHOWN
        if name in records
    }
