"""Rate and distortion: certified points of R(D), mixed fidelity, and codes that come close.

`rate` and `rate_point` are R(D) of a finite source in one call, `solve_fixed` takes any
`Constraint`s; every result holds two bounds that a `certificate` proves. `encode` makes a file.

>>> import numpy as np, ratedist
>>> p, d = [0.5, 0.3, 0.2], [[0, 1, 1], [1, 0, 1], [1, 1, 0]]      # probabilities, distortions
>>> round(float(ratedist.rate(p, d, 0.1)), 4)                      # bits per letter
0.9165
>>> x = np.random.default_rng(0).normal(size=2000)
>>> data = ratedist.encode(x, 0.1)                                 # mean squared error 0.1
>>> bool(np.mean((ratedist.decode(data) - x) ** 2) <= 0.1), len(data) < 800
(True, True)
"""

from ratedist._draw import draw
from ratedist.channels._bottleneck import BottleneckPoint, information_bottleneck
from ratedist.channels._capacity import CapacityPoint, capacity, capacity_point
from ratedist.channels._convex_programs import (
    CertifiedPoint,
    conditional_rate_point,
    perception_point,
)
from ratedist.channels._wyner_ziv import wyner_ziv_point
from ratedist.codebooks.annealing import anneal
from ratedist.codebooks.codebook import refine_codebook
from ratedist.codes import quantizers
from ratedist.codes.arrays import decode, encode
from ratedist.problem.constraints import (
    Constraint,
    mean_distortion,
    per_symbol,
    subset_mean,
    subset_sum,
)
from ratedist.problem.float64 import compiled, single_precision
from ratedist.problem.point import RDPoint, encoder
from ratedist.rate_function._inverse import distortion
from ratedist.rate_function._rate import rate, rate_point
from ratedist.solvers._blahut_arimoto import blahut_arimoto
from ratedist.solvers._certificate import certificate, certificate_for_all_codebooks
from ratedist.solvers.curves import curve, sweep
from ratedist.solvers.solve import solve_fixed, solve_slope

__all__ = [
    "BottleneckPoint",
    "CapacityPoint",
    "CertifiedPoint",
    "Constraint",
    "RDPoint",
    "anneal",
    "blahut_arimoto",
    "capacity",
    "capacity_point",
    "certificate",
    "certificate_for_all_codebooks",
    "compiled",
    "conditional_rate_point",
    "curve",
    "decode",
    "distortion",
    "draw",
    "encode",
    "encoder",
    "information_bottleneck",
    "mean_distortion",
    "per_symbol",
    "perception_point",
    "quantizers",
    "rate",
    "rate_point",
    "refine_codebook",
    "single_precision",
    "solve_fixed",
    "solve_slope",
    "subset_mean",
    "subset_sum",
    "sweep",
    "wyner_ziv_point",
]
