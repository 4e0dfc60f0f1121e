"""Labelled images: what a user has them in, and how they are given back."""
