"""Experiments on rate and distortion."""
