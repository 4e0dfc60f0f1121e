"""Who was in an archive: distance ratios, membership inference with 16 shadow archives.

"Latent Gaussian Compression" says that it anonymises and never tests it. Here an archive is made of
a random half of a pool of images. An attacker who has it, and made 16 others of other halves
(*shadow* archives), says of every image of the pool whether it was in: by the scores of
`lgc.privacy.inversion`, raw and calibrated by the shadows, online and offline. A mode's number is
that of the strongest attack on it. Beside it: how much closer drawn images lie to the archive's
half than to the other (`lgc.privacy.distance_ratios`). A lossy subset, which holds its images, is
the control that must leak; its claim is measured again by `verify`.

Small training sets leak more than large ones: `paper` makes archives of half of MNIST, `small` of
5,000 images.

Cost: small: 10 min, paper: 1 h on 1 core; smoke (digits): 1 min.
Data: mnist.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.runner import experiment as ex
from experiments.runner import plots
from experiments.runner.rows import grouped, mean_over_seeds
from fewbits.io.progress import Bar
from lgc import Config as Compression
from lgc import privacy
from lgc.privacy import AuditConfig, InversionConfig
from lgc.privacy.distance_ratios import QUANTILES

CONTROL = "lossy_subset"


@dataclass(frozen=True)
class Config:
    data: str = "mnist"
    archives: dict[str, Compression] = field(
        default_factory=lambda: {
            "ae": Compression(variant="ae", components=3, epochs=30),
            "ae_diagonal": Compression(
                variant="ae", components=8, covariance="diagonal", epochs=30
            ),
            "vae": Compression(variant="vae", components=1, epochs=30),
        }
    )
    """Published autoencoders, beside the control; as many components as BIC chose there."""
    per_class: int = 5_400
    """Images in the pool; an archive holds half."""
    control_per_class: int = 40
    audit: AuditConfig = AuditConfig()


class Strongest(NamedTuple):
    """The strongest attack on each mode.

    Mean ± standard deviation over targets. AUC 0.5: no better than chance; the strongest of all
    attacks by the AUC itself, which flatters the attacker a little. Distance ratio: nearest member
    over nearest held-out image, of drawn images; p: probability that another random half would have
    been as close (median over targets). The lossy subset is the control. An archive holds half of
    the images of its pool.
    """

    mode: Annotated[str, ex.Key]
    members: Annotated[int, ex.Key, ex.Column("images in it", ",.0f")]
    target: int
    bytes: Annotated[int, ex.Over(np.mean), ex.Column("file, bytes", ",.0f")]
    score: Annotated[str, ex.Key, ex.Column("strongest attack")]
    calibration: Annotated[str, ex.Key]
    auc: Annotated[
        float, ex.MeanOverSeeds(), ex.Column("AUC", ".3f"),
        ex.Claim("lgc.privacy.{claim}", when=lambda row: row.claim and row.mode != CONTROL),
        ex.Claim("lgc.privacy.{claim}", 0.01, when=lambda row: row.claim and row.mode == CONTROL),
    ]  # fmt: skip
    true_positive_percent: Annotated[
        float, ex.MeanOverSeeds(), ex.Column("TPR at 0.1 % FPR, %", ".2f")
    ]
    median_ratio: Annotated[float, ex.Over(np.mean), ex.Column("median distance ratio", ".3f")]
    closer_percent: Annotated[float, ex.Over(np.mean), ex.Column("closer to members, %", ".1f")]
    p_value: Annotated[float, ex.Over(np.median), ex.Column("p, one-sided", ".3f")]
    claim: str
    """Empty where nothing is claimed."""


class Attack(NamedTuple):
    """Every attack.

    Raw: the target's score alone. Offline and online: likelihood-ratio attacks with shadow archives
    that were all made without, and half of them with, the image.
    """

    mode: Annotated[str, ex.Key]
    score: Annotated[str, ex.Key]
    calibration: Annotated[str, ex.Key]
    target: int
    auc: Annotated[float, ex.MeanOverSeeds(), ex.Column("AUC", ".3f")]
    standard_error: Annotated[
        float, ex.Over(np.mean), ex.Column("its standard error over images", ".3f")
    ]
    true_positive_percent: Annotated[
        float, ex.MeanOverSeeds(), ex.Column("TPR at 0.1 % FPR, %", ".2f")
    ]


class Distances(NamedTuple):
    """Distances of images drawn from one target to the two halves of its pool."""

    mode: str
    target: int
    members: int
    bytes: int
    ratio_quantiles: tuple[float, ...]
    mean_log_ratio: float
    closer_share: float
    p_value: float


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> ex.Measurement:
    """Make all archives of a mode, score the pool under each, attack the targets."""
    ((mode,),) = trials
    per_class = config.control_per_class if mode == CONTROL else config.per_class
    pool = privacy.make_pool(data.images(config.data, "train"), per_class)
    with Bar(mode) as bar:
        found = privacy.audit(
            pool, config.archives.get(mode), config.audit, progress=bar,
            cached=lambda name, make: list(data.cached_tree(f"{mode}_{name}", make).values()),
        )  # fmt: skip
    attacks = [
        Attack(mode, attack.score, attack.calibration, target, *map(float, values))
        for attack in found.attacks
        for target, values in enumerate(zip(*attack[2:5], strict=True))
    ]
    distances = [
        Distances(mode, number, int(members.sum()), len(file), *near)
        for number, (file, members, near) in enumerate(
            zip(found.targets, found.members, found.distances, strict=True)
        )
    ]
    return ex.Measurement([*attacks, *distances], {"roc": {mode: found.strongest.roc}})


def derive(record: ex.Record) -> list[Strongest]:
    """The strongest attack on each mode; the strongest on any mode of mixtures is claimed."""
    by_mode = grouped(record.of(Attack), lambda row: row.mode)
    best = {mode: max(grouped(rows).values(), key=_area) for mode, rows in by_mode.items()}
    weakest = max(best.keys() - {CONTROL}, key=lambda mode: _area(best[mode]))
    claims = {CONTROL: "control_auc", weakest: "membership_auc"}
    distances = {(row.mode, row.target): row for row in record.of(Distances)}
    found = []
    for attack in (attack for attacks in best.values() for attack in attacks):
        near, claim = distances[attack.mode, attack.target], claims.get(attack.mode, "")
        if record.preset == "small":
            claim = f"{claim}.{near.members}_images" if attack.mode == weakest else ""
        found.append(Strongest(
            attack.mode, near.members, attack.target, near.bytes, attack.score,
            attack.calibration, attack.auc, attack.true_positive_percent,
            near.ratio_quantiles[QUANTILES.index(0.5)], 100 * near.closer_share, near.p_value,
            claim,
        ))  # fmt: skip
    return found


def _area(rows: Sequence[Attack]) -> float:
    return mean_over_seeds(rows, "auc").mean


def recompute(config: Config, row: Strongest, data: ex.Data) -> float | None:
    """Make and attack the control's files again; archives of mixtures take too long."""
    if row.mode != CONTROL:
        return None
    attacks = [row for row in measure(config, [(CONTROL,)], data).rows if isinstance(row, Attack)]
    same = (row.score, row.calibration, row.target)
    return next(each.auc for each in attacks if each[1:4] == same)


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """ROC curves of the strongest attacks on one target, and distance ratios of drawn images."""
    found = {}
    for preset, record in records.items():
        found[f"{preset}_attacks"], (curve, ratio) = plots.subplots(2, width=4.4)
        for mode, rows in grouped(record.of(Distances), lambda row: row.mode).items():
            roc, name = record.extras["roc"][mode], mode.replace("_", " ")
            curve.plot(roc["false_positive_rate"], roc["true_positive_rate"], label=name)
            quantiles = np.mean([row.ratio_quantiles for row in rows], axis=0)
            ratio.plot(quantiles, QUANTILES, "o-", label=name)
        curve.plot([1e-4, 1], [1e-4, 1], "--", color=plots.BASELINE, lw=0.8)
        curve.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1.2))
        curve.set(xlabel="false-positive rate", ylabel="true-positive rate")
        curve.legend()
        ratio.axvline(1, ls="--", color=plots.BASELINE, lw=0.8)
        ratio.set(xscale="log", xlabel="nearest member / nearest held-out")
        ratio.set_ylabel("share of drawn images")
    return found


EXPERIMENT = ex.of_module(
    __name__,
    (Strongest, Attack, Distances),
    {
        "paper": Config(),
        "small": Config(per_class=1_000),
        "smoke": Config(
            data="digits", per_class=40, control_per_class=10,
            archives={
                "ae": Compression(hidden=32, latent=8, epochs=3, batch_size=64, components=1)
            },
            audit=AuditConfig(
                shadows=4, targets=1, inversion=InversionConfig(draws=50, steps=3),
                drawn_per_class=20, permutations=99,
            ),
        ),
    },
    grid=lambda config: ((mode,) for mode in (*config.archives, CONTROL)),
    notes="target: number of the archive that is attacked",
    headline="lgc.privacy.membership_auc",
)  # fmt: skip
