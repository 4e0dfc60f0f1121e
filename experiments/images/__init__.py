"""Experiments on lossless image coding."""
