"""The capacity of a channel, what a budget does to it, and side information.

Every value is certified from both sides: an input distribution attains the lower bound, and dual
variables prove the upper one.
"""

import matplotlib.pyplot as plt
import numpy as np

import ratedist

# %% A Z channel: 0 arrives as it is, 1 is lost with probability 0.3.
channel = [[1.0, 0.0], [0.3, 0.7]]
point = ratedist.capacity_point(channel)
print(f"capacity: {point.capacity_lb:.6f} bits, certified to {point.gap_bits:.0e}")
print(f"a one is sent with probability {point.p[1]:.4f}")

# %% A one costs a unit of energy: capacity against the budget, and the price of energy.
budgets = np.linspace(0.02, 0.6, 30)
points = [ratedist.capacity_point(channel, [0.0, 1.0], budget) for budget in budgets]
print(f"at a budget of {budgets[5]:.2f}: {points[5].price:.3f} more bits per unit of energy")

# %% Compression with side information: encoder and decoder both know a noisy copy of the source.
joint = [[0.45, 0.05], [0.05, 0.45]]
hamming = [[0, 1], [1, 0]]
both = ratedist.conditional_rate_point(joint, hamming, 0.05)
alone = ratedist.rate([0.5, 0.5], hamming, 0.05)
print(f"R(0.05): {float(alone):.4f} bits alone, {both.rate_lb:.4f} with side information")

# %% Reconstructions that have to look like the source cost more.
perfect = ratedist.perception_point([0.7, 0.3], hamming, 0.1, 0.0)
free = ratedist.perception_point([0.7, 0.3], hamming, 0.1, 1.0)
print(
    f"{free.rate_lb:.4f} bits for any output, {perfect.rate_lb:.4f} for the source's distribution"
)

# %%
figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
axis.plot(budgets, [found.capacity_lb for found in points])
axis.set(xlabel="energy per use", ylabel="bits per use")
figure.savefig("channel_capacity.png", dpi=120)
