"""Does an archive tell who was in it? Distances of what it draws, and membership inference.

The report says that its compression "anonymizes" and never tests it. Here an archive is made of a
random half of a pool of images. An attacker who has it, and made 16 others of other halves
(*shadows*), says of every image of the pool whether it was in (`lgc.membership`): by the scores of
`lgc.inversion`, raw and calibrated by the shadows, online and offline. A mode's number is that of
the strongest attack on it. Beside it: how much closer drawn images lie to the archive's half than
to the other (`lgc.privacy`). A lossy subset, which holds its images, is the control that must leak.

5,000 images an archive: small training sets leak more than large ones. A run that was cut off goes
on.

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

from coding import container
from experiments import datasets, decoded_sets, lgc_privacy_tables, privacy_archives
from experiments.privacy_archives import Pool
from experiments.records import Claim, Run, Seconds, kept, write_claims, write_record
from experiments.registry import Table, aligned
from lgc import Config as Compression
from lgc import archive, inversion, lossy_subset, membership, privacy
from lgc.coresets.reduction import Reduction
from lgc.inversion import InversionConfig
from training.progress import Bar

CONTROL = "lossy_subset"
MODES = {
    "ae": Compression(variant="ae", components=3),
    "ae_diagonal": Compression(variant="ae", components=8, covariance="diagonal"),
    "vae": Compression(variant="vae", components=1),
}
"""The report's autoencoders; as many components as BIC chose there, so that shapes are fixed."""
FALSE_POSITIVE_RATE = 0.001


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
    per_class: int = 1_000
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
    "paper": ("three modes of mixtures, 16 shadows and 5 targets of 5,000 MNIST images", Config()),
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
    if run.preset != "smoke":
        write_claims(run, [_claim(run, rows, record)])
    print(aligned([lgc_privacy_tables.COLUMNS, *lgc_privacy_tables.summaries(rows)]))


def _measure(config: Config, run: Run, mode: str, train: datasets.Images) -> dict[str, Any]:
    began = time.perf_counter()
    per_class = config.control_per_class if mode == CONTROL else config.per_class
    pool = privacy_archives.make_pool(train, per_class)
    key = jax.random.key(config.seed)
    key_shadows, key_targets, key_test = jax.random.split(key, 3)
    classes = jnp.asarray(pool.classes)
    inside = _random_halves(key_shadows, classes, config.shadows)
    of_targets = _random_halves(key_targets, classes, 2 * config.targets)
    targets = np.asarray(of_targets[: config.targets])
    halves = np.concatenate([inside, targets])
    folder = run.folder / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {number: folder / f"{mode}_{number}.lgc" for number in range(len(halves))}
    with Bar(mode) as bar:
        if mode == CONTROL:
            privacy_archives.write_subsets(paths, pool, halves, Reduction())
        else:
            settings = _compression(config, mode)
            privacy_archives.write_mixtures(
                paths,
                pool,
                halves,
                settings,
                config.seed,
                lanes_per_chunk=config.lanes_per_chunk,
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
    attacks = _attacks(stacked, inside, jnp.asarray(targets))
    strongest = max(attacks, key=lambda attack: np.mean(attack["auc"]))
    distances = [
        _distances(config, mode, paths[config.shadows + place], pool, members, key)
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
        score = _control_scores if mode == CONTROL else partial(_mixture_scores, config, number)
        temporary = kept.with_suffix(".tmp.npy")
        np.save(temporary, np.asarray(score(data, pool), np.float32))
        temporary.replace(kept)
    return dict(zip(names, jnp.asarray(np.load(kept)), strict=True))


_random_halves = jax.jit(membership.random_halves, static_argnums=2)
_invert = jax.jit(inversion.scores, static_argnums=(4, 5))
_nearest = jax.jit(privacy.nearest, static_argnames="count")
_memorisation = jax.jit(privacy.memorisation, static_argnames="permutations")
_calibrate = jax.jit(membership.calibrate)
_offline, _online = (
    jax.jit(jax.vmap(attack, in_axes=(0, None)))
    for attack in (membership.offline, membership.online)
)
_areas = jax.jit(jax.vmap(membership.auc))
_rates = jax.jit(
    jax.vmap(partial(membership.true_positive_rate, false_positive_rate=FALSE_POSITIVE_RATE))
)


def _mixture_scores(config: Config, number: int, data: bytes, pool: Pool) -> np.ndarray:
    contents = archive.read(data)
    key = jax.random.fold_in(jax.random.key(config.seed), number)
    parts = []
    for label, mixture in enumerate(inversion.class_mixtures(contents)):
        images = jnp.asarray(pool.flat[pool.classes == label])
        key_class = jax.random.fold_in(key, label)
        parts.append(
            np.stack(
                _invert(
                    key_class, contents.decoder, mixture, images, contents.image_shape,
                    config.inversion,
                )
            )
        )  # fmt: skip
    return np.concatenate(parts, axis=1)


def _control_scores(data: bytes, pool: Pool) -> np.ndarray:
    images, labels = lossy_subset.read(data)
    parts = []
    for label in range(pool.n_classes):
        own = images[labels == label].reshape(-1, pool.flat.shape[1])
        queries = jnp.asarray(pool.flat[pool.classes == label])
        parts.append(-np.asarray(_nearest(queries, jnp.asarray(own)).distances[:, 0]))
    return np.concatenate(parts)[None]


def _attacks(
    scores: dict[str, jax.Array], inside: jax.Array, targets: jax.Array
) -> list[dict[str, Any]]:
    """Every score, raw and calibrated, against every target.

    Args:
      scores: Float[shadows + targets, n] by name.
      inside: Bool[shadows, n].
      targets: Bool[targets, n].
    """
    found = []
    for name, values in scores.items():
        of_shadows, of_targets = values[: len(inside)], values[len(inside) :]
        shadows = _calibrate(of_shadows, inside)
        calibrations = {
            "raw": of_targets,
            "offline": _offline(of_targets, shadows),
            "online": _online(of_targets, shadows),
        }
        for calibration, judged in calibrations.items():
            area = _areas(judged, targets)
            found.append(
                {
                    "score": name,
                    "calibration": calibration,
                    "auc": np.asarray(area.value).tolist(),
                    "standard_error": np.asarray(area.standard_error).tolist(),
                    "true_positive_rate": np.asarray(_rates(judged, targets)).tolist(),
                    "roc": lgc_privacy_tables.roc(np.asarray(judged[0]), np.asarray(targets[0])),
                }
            )
    return found


def _distances(
    config: Config, mode: str, path: Path, pool: Pool, members: np.ndarray, key: jax.Array
) -> dict[str, Any]:
    """Of images that a fresh process has drawn; the control's own images, which it cannot draw."""
    if mode == CONTROL:
        images, _ = lossy_subset.read(container.load_bytes(path))
    else:
        images, _ = decoded_sets.from_archive(path, config.drawn_per_class, config.seed)
    drawn = jnp.asarray(images.reshape(len(images), -1))
    neighbours = _nearest(drawn, jnp.asarray(pool.flat), count=config.neighbours)
    found = _memorisation(
        key,
        neighbours,
        jnp.asarray(members),
        jnp.asarray(pool.classes),
        permutations=config.permutations,
    )
    return {
        "ratio_quantiles": np.asarray(found.ratio_quantiles).tolist(),
        "mean_log_ratio": float(found.mean_log_ratio),
        "closer_share": float(found.closer_share),
        "p_value": float(found.p_value),
    }


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
    if "paper" not in records:
        return []
    return lgc_privacy_tables.tables(records["paper"]["metrics"]["rows"])


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """ROC curves of the strongest attacks, and distance ratios."""
    if "paper" not in records:
        return {}
    return lgc_privacy_tables.figures(records["paper"]["metrics"]["rows"])
