"""Thresholds, the three phases, layers one after the other, and when to stop."""
