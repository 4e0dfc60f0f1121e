"""Pruning: networks with few nonzero weights, found while training, down to the file."""
