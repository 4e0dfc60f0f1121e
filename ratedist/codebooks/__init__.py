"""Codebooks refined through the convex step, merged, and annealed."""
