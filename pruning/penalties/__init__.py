"""Separable penalties that close weights while training: DRR and the relaxed lasso."""
