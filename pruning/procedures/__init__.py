"""Thresholds, the three phases, once or again and again, layers one after the other, and when to stop."""
