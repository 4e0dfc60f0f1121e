"""Host-side, not traceable: the m-dimensional problem as a differentiable layer of cvxpylayers.

    q*(K) = argmin_{q >= 0, u = K q}  -sum_x p_x log u_x + sum_j q_j,      K_xj = 2^(-s d_xj)

has n exponential cones, all in their interior, and diffcp differentiates through them rightly. The
n x m relative-entropy form has joint probabilities down to 1e-30 on the boundary of its cones; its
forward values are right and its gradients are wrong by factors of ten to a thousand, *without a
warning* (`tests/ratedist/test_convex_layer.py` keeps the demonstration). Hence this form only.

A layer runs eagerly: `jax.grad` goes through it, `jax.jit` and `jax.vmap` do not. Several codebooks
are solved in one call by a leading axis. Solver, tolerances and mode of differentiation are named,
because the default solver is a loose one and the default mode an inaccurate one.
"""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ratedist.codebooks.functionals import kernel
from ratedist.problem.checks import check_mass


class ConvexLayer:
    """q* as a function of distortions; differentiable once, in reverse mode.

    Call it, and differentiate, inside `jax.enable_x64(True)`: rounded to single precision neither
    the kernel nor the cotangents are worth the tolerances.

    Tolerance: `tolerance` is Clarabel's gap and feasibility; the error of q is about its root.
    Status values: none come back through the layer; look at the certificate of what it returns.
    """

    def __init__(self, p: Any, codewords: int, *, tolerance: float = 1e-12):
        """Compile the program for one source and codebook size.

        Args:
          p: Float[n], source probabilities.
          codewords: m.
          tolerance: see above.

        Raises:
          ValueError: a bad probability vector, or no codeword.
        """
        from cvxpylayers.jax import CvxpyLayer

        mass = np.asarray(p, np.float64)
        check_mass(mass)
        if codewords < 1:
            raise ValueError(f"a codebook of {codewords} codewords")
        table = cp.Parameter((mass.size, codewords), nonneg=True)
        q, u = cp.Variable(codewords, nonneg=True), cp.Variable(mass.size)
        rows: Any = u == table @ q
        program = cp.Problem(cp.Minimize(-mass @ cp.log(u) + cp.sum(q)), [rows])
        self._layer = CvxpyLayer(program, [table], [q])
        self._forward = {
            "solve_method": "Clarabel",
            "tol_gap_abs": tolerance,
            "tol_gap_rel": tolerance,
            "tol_feas": tolerance,
        }
        # Only a call that is being differentiated knows the word `mode`.
        self._differentiated = {**self._forward, "mode": "dense"}

    def __call__(self, d: ArrayLike, s: ArrayLike, mask: ArrayLike | None = None) -> jax.Array:
        """The optimal output marginal.

        Args:
          d: Float[n, m], or Float[B, n, m] for B codebooks at once.
          s: Float[], price of distortion, bits per unit.
          mask: Bool[m] or Bool[B, m], codewords in use.

        Returns:
          q: Float[m] or Float[B, m].

        Raises:
          ValueError: 64-bit types are off.
        """
        if not jax.config.read("jax_enable_x64"):
            raise ValueError("a ConvexLayer needs double precision: use jax.enable_x64(True)")
        d = jnp.asarray(d)
        used = jnp.ones(d.shape[:-2] + d.shape[-1:], bool) if mask is None else jnp.asarray(mask)
        table = kernel(jnp.where(used[..., None, :], d, jnp.inf), jnp.asarray(s))
        arguments = self._differentiated if isinstance(table, Tracer) else self._forward
        (q,) = self._layer(table, solver_args=arguments)
        return jnp.where(used, q, 0.0)
