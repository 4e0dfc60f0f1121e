"""Experiments on pruned networks."""
