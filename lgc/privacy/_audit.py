"""How much do archives tell of who was in them? Made of random halves, and attacked.

Targets are archives of random halves of a pool of images. The attacker has one, made others of
other halves (*shadows*), and says of every image of the pool whether it was in: by the scores of
`inversion`, raw and calibrated by the shadows. Beside the attacks stand `distance_ratios`: how
much closer drawn images lie to the archive's half than to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgc import decompression
from lgc.config import Config, Progress, report
from lgc.coresets import lossy_subset
from lgc.coresets.downsampling import Downsampling
from lgc.privacy import archive_attacks, shadow_archives
from lgc.privacy.archive_attacks import Attacked, Distances
from lgc.privacy.inversion import InversionConfig, Scores
from lgc.privacy.shadow_archives import Pool

Cached = Callable[[str, Callable[[], Sequence[np.ndarray]]], Sequence[np.ndarray]]
"""(name, compute) -> what `compute()` gives, perhaps from an earlier run."""


@dataclass(frozen=True)
class AuditConfig:
    """Effort of an audit.

    Attributes:
      shadows: archives that the attacker makes, an even number.
      targets: archives that are attacked, each by itself.
      inversion: effort of each score.
      drawn_per_class: images drawn from each target for the distances.
      neighbours: of each drawn image that are examined.
      permutations: of the distances' test.
      runs_per_chunk: autoencoders side by side; one is fastest on a CPU, None takes many.
      seed: of halves, training, scores and draws.
    """

    shadows: int = 16
    targets: int = 5
    inversion: InversionConfig = InversionConfig()
    drawn_per_class: int = 200
    neighbours: int = 16
    permutations: int = 999
    runs_per_chunk: int | None = 1
    seed: int = 0


class Audit(NamedTuple):
    """What an audit finds.

    Attributes:
      attacks: every score, raw and calibrated; of each the results on all targets.
      distances: of every target's drawn images to the two halves of the pool.
      targets: files that were attacked.
      members: Bool[targets, n], which images of the pool each of them was made of.
    """

    attacks: list[Attacked]
    distances: list[Distances]
    targets: list[bytes]
    members: np.ndarray

    @property
    def strongest(self) -> Attacked:
        """The attack with the largest area under its curve, which flatters it a little."""
        return max(self.attacks, key=lambda attack: float(np.mean(attack.auc)))


def audit(
    pool: Pool,
    settings: Config | None,
    config: AuditConfig = AuditConfig(),  # noqa: B008
    *,
    cached: Cached = lambda _, compute: compute(),
    progress: Progress | None = None,
) -> Audit:
    """Attack archives of mixtures that are made as an archive of yours would be.

    An archive of all images leaks about as much as those of halves; smaller sets leak more.

    Args:
      pool: of `shadow_archives.make_pool(images, per_class)`.
      settings: of `lgc.compress`, with a fixed number of components, so that all archives have the
        same shape; None for lossy subsets, which hold their images and must leak: a control.
      config: see `AuditConfig`.
      cached: gives slow results of a run that was cut off again: archives, and each one's scores.
      progress: called with a stage's name, the work done and the work in all.

    Raises:
      ValueError: settings without a number of components, or an odd number of shadows.

    Example:
      >>> import numpy as np
      >>> from fewbits.io.datasets import Images
      >>> from lgc import privacy
      >>> pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1)).astype(np.uint8)
      >>> images = Images(pixels, np.arange(40, dtype=np.int32) % 2, ("a", "b"))
      >>> few = privacy.AuditConfig(shadows=4, targets=1, neighbours=4, permutations=19)
      >>> found = privacy.audit(privacy.make_pool(images, 20), None, few)
      >>> found.strongest.score, float(found.strongest.auc[0])  # images of noise are all unlike
      ('nearness', 1.0)
    """
    if settings is not None and settings.components is None:
        raise ValueError("an audit needs a fixed number of components; choose one for all archives")
    key_shadows, key_targets, key_test = jax.random.split(jax.random.key(config.seed), 3)
    classes = jnp.asarray(pool.classes)
    inside = archive_attacks.random_halves(key_shadows, classes, config.shadows)
    of_targets = archive_attacks.random_halves(key_targets, classes, 2 * config.targets)
    members = np.asarray(of_targets[: config.targets])
    halves = np.concatenate([inside, members])
    if settings is None:
        archives = [
            lossy_subset.write(pool.pixels[half], pool.classes[half], Downsampling())
            for half in halves
        ]
        scores = {"nearness": jnp.stack([_nearness(each, pool) for each in archives])}
    else:
        archives = _archives(pool, halves, settings, config, cached, progress)
        scores = _scores(pool, archives, config, cached, progress)
    targets = archives[config.shadows :]
    per_class = None if settings is None else config.drawn_per_class
    distances = []
    for key, target, half in zip(
        jax.random.split(key_test, config.targets), targets, members, strict=True
    ):
        drawn = decompression.decompress(target, per_class=per_class, seed=config.seed).images
        examined = config.neighbours, config.permutations
        distances.append(archive_attacks.distances(key, drawn, pool, half, *examined))
    attacks = archive_attacks.attacks(scores, inside, jnp.asarray(members))
    return Audit(attacks, distances, targets, members)


def _nearness(subset: bytes, pool: Pool) -> np.ndarray:
    return archive_attacks.control_scores(subset, pool)[0]


def _archives(
    pool: Pool, halves: np.ndarray, settings: Config, config: AuditConfig, cached: Cached,
    progress: Progress | None,
) -> list[bytes]:  # fmt: skip
    def make() -> list[np.ndarray]:
        made = shadow_archives.mixtures(
            pool, halves, settings, config.seed, config.runs_per_chunk, progress
        )
        return [np.frombuffer(archive, np.uint8) for archive in made]

    return [each.tobytes() for each in cached("archives", make)]


def _scores(
    pool: Pool, archives: list[bytes], config: AuditConfig, cached: Cached,
    progress: Progress | None,
) -> dict[str, jax.Array]:  # fmt: skip
    """Float[archives, n] by the name of the score."""
    found = []
    for number, archive in enumerate(archives):
        report(progress, "scoring the pool", number, len(archives))
        key = jax.random.fold_in(jax.random.key(config.seed), number)
        score = partial(archive_attacks.mixture_scores, archive, pool, key, config.inversion)
        found.append(np.stack(cached(f"scores_{number}", lambda score=score: list(score()))))
    return dict(zip(Scores._fields, jnp.stack(found, axis=1), strict=True))
