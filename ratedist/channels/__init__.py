"""Neighbours of the rate-distortion function: channel capacity, side information, perception."""
