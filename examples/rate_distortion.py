"""R(D) with a fidelity constraint, and its price.

A source emits numbers on a grid, roughly Gaussian. How many bits per symbol does a description need
whose mean squared error is at most D? And what does it cost to describe rare, large values better
than the rest? Every answer comes with a certified lower and upper bound, and every constraint with
its price: the bits that one unit of distortion is worth.
"""

import matplotlib.pyplot as plt
import numpy as np

import ratedist

points = np.linspace(-4, 4, 65)
p = np.exp(-(points**2) / 2)
p /= p.sum()
d = (points[:, None] - points) ** 2  # squared error, symbols x reconstructions

# %% One point, and the price of distortion there: minus the slope of R(D).
point = ratedist.rate_point(p, d, 0.25)
print(f"R(0.25) = {point.rate_lb:.7f} to {point.rate_ub:.7f} bits per symbol")
print(f"price: {point.nu[0]:.3f} bits per unit of squared error")

# %% Now a second constraint: values beyond two standard deviations, one in twenty, must have a
# tenth of the distortion.
large = np.abs(points) > 2
both = (ratedist.mean_distortion(p, 0.25), ratedist.subset_mean(p, large, 0.025))
point = ratedist.rate_point(p, d, both)
print(f"rate: {point.rate_lb:.7f} to {point.rate_ub:.7f} bits per symbol")
print(f"price of the mean distortion: {point.nu[0]:.3f} bits per unit")
print(f"price of the distortion of large values: {point.nu[1]:.3f} bits per unit")

# %% Or a second measure of distortion: the sign may be wrong for one value in a hundred only. Each
# constraint may have a table of its own.
wrong_sign = (np.sign(points)[:, None] * np.sign(points) < 0).astype(float)
signs = (ratedist.mean_distortion(p, 0.25), ratedist.mean_distortion(p, 0.01, d=wrong_sign))
point = ratedist.rate_point(p, d, signs)
print(f"rate: {point.rate_lb:.7f} to {point.rate_ub:.7f} bits per symbol")
print(f"price of wrong signs: {point.nu[1]:.3f} bits per unit")

# %% The whole curve, with and without that constraint, beside Shannon's formula for a Gaussian.
levels = np.linspace(0.05, 0.9, 12)
plain = ratedist.curve(p, d, levels)
strict = [
    ratedist.rate_point(
        p, d, (ratedist.mean_distortion(p, level), ratedist.subset_mean(p, large, level / 10))
    )
    for level in levels
]
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(levels, -0.5 * np.log2(levels), "k:", zorder=3, label="Gaussian: -log2(D) / 2")
axes.plot(levels, plain.rate_ub, "o-", label="mean distortion at most D")
axes.plot(levels, [point.rate_ub for point in strict], "s-", label="and D / 10 for large values")
axes.set(xlabel="mean squared error D", ylabel="bits per symbol", xlim=(0, None), ylim=(0, None))
axes.legend()
figure.savefig("rate_distortion.png", dpi=120)
