"""Refine a codebook by gradient, through the convex step.

R(D) of a source depends on the reconstruction points. For given points, the best encoder is a
convex problem, and its value is differentiable in the points. So alternate: solve, step the points
along the gradient, merge those that meet. A dense codebook becomes a small one of a lower rate.
"""

import matplotlib.pyplot as plt
import numpy as np

import ratedist

rng = np.random.default_rng(0)
centres = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
x = np.concatenate([rng.normal(centre, 0.4, (40, 2)) for centre in centres])
p = np.full(len(x), 1 / len(x))

# %% Start from a grid of 25 points.
side = np.linspace(-3, 3, 5)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
book, history = ratedist.refine_codebook(p, x, grid, 0.5, steps=30, least_distance=0.2)
points = np.asarray(book.points)[np.asarray(book.mask)]
print(f"{len(grid)} points: {history.rate_ub[0]:.3f} bits at a mean squared error of 0.5")
print(f"{len(points)} points: {history.rate_ub[-1]:.3f} bits")
print(f"every step certified to {history.gap_bits.max():.1e} bits")

# %% How far is that from the best that any reconstruction points could give?
constraint = ratedist.mean_distortion(p, 0.5)
last = ratedist.rate_point(p, ((x[:, None] - points) ** 2).sum(axis=-1), 0.5)
bound = ratedist.certificate_for_all_codebooks(p, x, points, constraint, last.nu, last.q)
print(f"no codebook needs less than {bound:.3f} bits")

# %% The gradient through the convex step, in three ways that agree.
line = np.linspace(-2, 2, 12)
mass = np.exp(-(line**2)) / np.exp(-(line**2)).sum()
for way in ("envelope", "implicit", "cvxpylayers"):
    small, _ = ratedist.refine_codebook(
        mass, line, [-1.5, 0.1, 1.4], 0.3, steps=2, gradient=way, rate=0.5
    )
    print(f"{way:12}", np.asarray(small.points)[:, 0].round(4))

# %% Left: the points before and after. Right: the rate falls with every step.
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
axes[0].plot(*x.T, ".", color="lightgray", label="source")
axes[0].plot(*grid.T, "x", color="gray", label="start")
axes[0].plot(*points.T, "o", color="tab:orange", label="refined")
axes[0].legend()
axes[1].plot(history.rate_ub, "o-", markersize=3)
axes[1].set(xlabel="step", ylabel="bits per symbol at D = 0.5")
figure.savefig("refine_a_codebook.png", dpi=120)
