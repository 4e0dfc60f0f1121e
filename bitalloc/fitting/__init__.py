"""Choosing bits by linear and integer programming, and fitting whole systems."""
