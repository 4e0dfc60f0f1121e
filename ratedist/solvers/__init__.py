"""Solvers of the convex rate-distortion problem, and certificates that do not trust them."""
