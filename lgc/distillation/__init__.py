"""Distilled images: the most useful training images within a budget of bytes."""
