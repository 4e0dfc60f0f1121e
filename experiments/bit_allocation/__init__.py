"""Experiments on bit allocation."""
