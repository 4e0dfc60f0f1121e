"""Classify from a handful of bits: exact bit allocation, with one encoder or several sensors."""
