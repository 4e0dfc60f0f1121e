"""Pruning: networks with few nonzero weights, found while training, down to the file.

One call prunes a classifier into a file, the methods alone go into a loop of your own: `drr`,
`relaxed_lasso`, `proximal` and `gradual_magnitude` are optax transformations, `pmmp_variables`,
`pmmp_loss` and `pmmp_optimizer` are PMMP as such, `pmmp`, `fpp`, `pmmp_curvature`, `pmmp_admm`
and `hard_concrete` make a `Method(init, step, finalize)`.
`threshold_search` (TAMADE), `remove_unreachable` and `three_phase` are what `prune` is made of;
`iterative` prunes again and again, ever smaller networks. `sort_units` orders hidden units so that
files get smaller.

>>> import jax.numpy as jnp, optax, pruning
>>> optimizer = optax.chain(pruning.drr(2e-4), optax.adam(1e-3))  # the one changed line
>>> params = {"w": jnp.array([[1.0, 0.02], [0.01, -1.0]])}
>>> gradient, state = {"w": jnp.zeros((2, 2))}, optimizer.init(params)
>>> for step in range(30):
...     updates, state = optimizer.update(gradient, state, params)
...     params = optax.apply_updates(params, updates)
>>> print((jnp.abs(params["w"]) > 0.005).astype(int).tolist())
[[1, 0], [0, 1]]
"""

from pruning.builders import fpp, hard_concrete, pmmp, pmmp_admm, pmmp_curvature
from pruning.controls.gradual_magnitude import gradual_magnitude
from pruning.graphs.reachability import remove_unreachable
from pruning.graphs.unit_order import sort_units
from pruning.minimax.pmmp_game import pmmp_loss, pmmp_optimizer, pmmp_params, pmmp_variables
from pruning.penalties.drr import drr
from pruning.penalties.penalized import proximal
from pruning.penalties.relaxed_lasso import relaxed_lasso
from pruning.procedures._iterative import iterative
from pruning.procedures._three_phase import three_phase
from pruning.procedures.thresholding import threshold_search
from pruning.search._prune import Pruned, prune

__all__ = [
    "Pruned",
    "drr",
    "fpp",
    "gradual_magnitude",
    "hard_concrete",
    "iterative",
    "pmmp",
    "pmmp_admm",
    "pmmp_curvature",
    "pmmp_loss",
    "pmmp_optimizer",
    "pmmp_params",
    "pmmp_variables",
    "proximal",
    "prune",
    "relaxed_lasso",
    "remove_unreachable",
    "sort_units",
    "three_phase",
    "threshold_search",
]
