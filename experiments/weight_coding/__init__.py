"""Experiments on coding weights and labels."""
