"""Gaussian mixtures in JAX: density, EM, selection of the number of components, description."""
