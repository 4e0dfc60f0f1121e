"""Does a file reveal which images were compressed? Distances, inversion, membership inference.

`memorisation` tests whether drawn images lie closer to the compressed half of a pool than to the
other half; `scores` inverts the decoder; `auc`, `true_positive_rate` and `calibrate` (LiRA, Carlini
et al. 2022, "Membership inference attacks from first principles") evaluate an attack. `audit` does
all of this with archives that it makes of a pool.

>>> import jax, jax.numpy as jnp
>>> from lgc import privacy
>>> scores, members = jnp.array([0.9, 0.4, 0.6, 0.1]), jnp.array([True, True, False, False])
>>> float(privacy.auc(scores, members).value)
0.75
>>> pool = jax.random.normal(jax.random.key(0), (20, 3))
>>> drawn = pool[:10] + 0.01
>>> neighbours = privacy.nearest(drawn, pool, 5)
>>> float(privacy.closer_to_members(neighbours, jnp.arange(20) < 10))
1.0
"""

from lgc.privacy._audit import Audit, AuditConfig, audit
from lgc.privacy.archive_attacks import Attacked, Distances
from lgc.privacy.distance_ratios import (
    Memorisation,
    Neighbours,
    closer_to_members,
    log_distance_ratios,
    memorisation,
    nearest,
)
from lgc.privacy.inversion import InversionConfig, Scores, class_mixtures, scores
from lgc.privacy.membership import (
    Auc,
    Calibration,
    auc,
    calibrate,
    lira_offline,
    lira_online,
    random_halves,
    true_positive_rate,
)
from lgc.privacy.shadow_archives import Pool, make_pool

__all__ = [
    "Attacked",
    "Auc",
    "Audit",
    "AuditConfig",
    "Calibration",
    "Distances",
    "InversionConfig",
    "Memorisation",
    "Neighbours",
    "Pool",
    "Scores",
    "auc",
    "audit",
    "calibrate",
    "class_mixtures",
    "closer_to_members",
    "lira_offline",
    "lira_online",
    "log_distance_ratios",
    "make_pool",
    "memorisation",
    "nearest",
    "random_halves",
    "scores",
    "true_positive_rate",
]
