"""Thresholds, the three phases, iterative pruning, layers in turn, and when to stop."""
