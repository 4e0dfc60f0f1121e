"""Bits-back coding: a stack of streams, normal distributions in whole numbers, the refund."""
