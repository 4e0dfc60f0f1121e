"""Experiments on compressed data sets."""
