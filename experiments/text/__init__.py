"""Experiments on texts as description length."""
