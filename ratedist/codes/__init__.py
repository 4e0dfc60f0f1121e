"""Codes that come close to the bound: quantisers, trellises, and their files."""
