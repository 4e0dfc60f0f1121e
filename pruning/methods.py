"""The methods by name, as the experiments and the command line run them.

A named method fixes all settings but the learning rate and the one that a sweep varies, the
penalty weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fewbits.training.method import Loss, Method
from pruning import leaves
from pruning.controls import gradual_magnitude, hard_concrete
from pruning.minimax import pmmp, pmmp_admm, pmmp_curvature
from pruning.penalties import drr, relaxed_lasso
from pruning.schedule import CosineDecay, Ramp, Schedule


class NamedMethod(NamedTuple):
    """How a method is made.

    Attributes:
      build: (loss, steps) -> Method for a first phase of that many steps; those with `takes_mask`
        also take `mask=`.
      hyperparameters: (learning rate, penalty weights Float[H]) -> the method's own, for a sweep.
      title: for tables and legends.
      family: `smooth`, `exact` (no relaxation of the l0 norm) or `control`.
      strength: penalty weight to begin with.
      strength_is_share: whether it is the share of weights that remain.
      takes_mask: whether leaves can be exempted.
    """

    build: Callable[..., Method]
    hyperparameters: Callable[[Any, jax.Array], Any]
    title: str
    family: str
    strength: float
    strength_is_share: bool = False
    takes_mask: bool = False


def schedule(steps: int) -> Schedule:
    """Every method's own: the rate falls to a twentieth along half a cosine."""
    return Schedule(rate=CosineDecay(0, steps, 0.05))


def _drr(update: Any) -> Callable[..., Method]:
    return lambda loss, steps, mask=None: drr.build(
        drr.DrrConfig(update=update, schedule=schedule(steps)), loss, mask=mask
    )


def _rl1(update: Any) -> Callable[..., Method]:
    return lambda loss, steps, mask=None: relaxed_lasso.build(
        relaxed_lasso.Rl1Config(update=update, schedule=schedule(steps)), loss, mask=mask
    )


def _pmmp(averaging: Any) -> Callable[[Loss, int], Method]:
    return lambda loss, steps: pmmp.build(
        pmmp.PmmpConfig(averaging=averaging, schedule=schedule(steps)), loss
    )


def _curvature(loss: Loss, steps: int) -> Method:
    config = pmmp_curvature.PmmpCurvatureConfig(
        schedule=schedule(steps), anneal=CosineDecay(0, steps)
    )
    return pmmp_curvature.build(config, loss)


def _admm(loss: Loss, steps: int) -> Method:
    config = pmmp_admm.PmmpAdmmConfig(balancing=False, schedule=schedule(steps))
    return pmmp_admm.build(config, loss)


def _magnitude(loss: Loss, steps: int, mask: leaves.Mask = None) -> Method:
    ramp = Ramp(steps // 10, max(steps * 7 // 10, steps // 10 + 1))
    return gradual_magnitude.build(
        gradual_magnitude.MagnitudeConfig(ramp=ramp, schedule=schedule(steps)), loss, mask=mask
    )


def _hard_concrete(loss: Loss, steps: int) -> Method:
    return hard_concrete.build(hard_concrete.HardConcreteConfig(schedule=schedule(steps)), loss)


METHODS = {
    "drr": NamedMethod(
        _drr("coupled"),
        lambda rate, s: drr.Hyperparameters(rate, s),
        "DRR, coupled",
        "smooth",
        2e-4,
        takes_mask=True,
    ),
    "drr_proximal": NamedMethod(
        _drr("proximal"),
        lambda rate, s: drr.Hyperparameters(rate, s),
        "DRR, proximal",
        "smooth",
        0.1,
        takes_mask=True,
    ),
    "rl1": NamedMethod(
        _rl1("coupled"),
        lambda rate, s: relaxed_lasso.Hyperparameters(rate, s),
        "R-L1, coupled",
        "smooth",
        2e-4,
        takes_mask=True,
    ),
    "rl1_proximal": NamedMethod(
        _rl1("proximal"),
        lambda rate, s: relaxed_lasso.Hyperparameters(rate, s),
        "R-L1, proximal",
        "smooth",
        0.3,
        takes_mask=True,
    ),
    "pmmp": NamedMethod(
        _pmmp("none"),
        lambda rate, s: pmmp.Hyperparameters(rate, s),
        "PMMP, as published",
        "exact",
        1e-2,
    ),
    "fpp": NamedMethod(
        _pmmp("mean"),
        lambda rate, s: pmmp.Hyperparameters(rate, s),
        "FPP, as published",
        "exact",
        1e-2,
    ),
    "pmmp_curvature": NamedMethod(
        _curvature,
        lambda rate, s: pmmp_curvature.Hyperparameters(rate, s),
        "PMMP, curvature",
        "exact",
        3e-5,
    ),
    "pmmp_admm": NamedMethod(
        _admm,
        lambda rate, s: pmmp_admm.Hyperparameters(rate, s),
        "PMMP, ADMM",
        "exact",
        0.1,
    ),
    "magnitude": NamedMethod(
        _magnitude,
        lambda rate, s: gradual_magnitude.Hyperparameters(rate, s),
        "gradual magnitude",
        "control",
        0.02,
        strength_is_share=True,
        takes_mask=True,
    ),
    "hard_concrete": NamedMethod(
        _hard_concrete,
        lambda rate, s: hard_concrete.Hyperparameters(rate, strength=s),
        "hard-concrete l0",
        "control",
        1e-5,
    ),
}
"""In the order of tables. The penalty weight of `magnitude` is the share of weights that remain."""
