"""Experiments on what an archive tells of its members."""
