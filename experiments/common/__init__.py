"""Pieces that several experiments share."""
