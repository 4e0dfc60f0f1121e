"""Lossless coding of small images of few levels by context mixing."""
