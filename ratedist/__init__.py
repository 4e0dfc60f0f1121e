"""Rate and distortion: certified bounds, mixed fidelity, and codes that reach them."""

from ratedist.solvers.blahut_arimoto import blahut_arimoto
from ratedist.solvers.certificate import certificate, certificate_for_all_codebooks
from ratedist.solvers.constraints import (
    Constraint,
    mean_distortion,
    per_symbol,
    subset_mean,
    subset_sum,
)
from ratedist.solvers.float64 import compiled, in_float64
from ratedist.solvers.point import RDPoint, encoder
from ratedist.solvers.solve import curve, solve_fixed, solve_slope, sweep

__all__ = [
    "Constraint",
    "RDPoint",
    "blahut_arimoto",
    "certificate",
    "certificate_for_all_codebooks",
    "compiled",
    "curve",
    "encoder",
    "in_float64",
    "mean_distortion",
    "per_symbol",
    "solve_fixed",
    "solve_slope",
    "subset_mean",
    "subset_sum",
    "sweep",
]
