"""Programs that run for a millisecond: optimising them is what would take the time."""

from __future__ import annotations

import ratedist

_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def quick(function, **options):
    """`ratedist.compiled`, compiled in a hurry."""
    return ratedist.compiled(function, compiler_options=_QUICK, **options)
