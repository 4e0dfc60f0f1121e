"""Probabilistic minimax pruning: PMMP, FPP, and the curvature and ADMM variants."""
