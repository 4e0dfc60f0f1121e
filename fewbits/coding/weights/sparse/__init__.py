"""Pruned networks: where the weights are that are left, their signs and magnitudes."""
