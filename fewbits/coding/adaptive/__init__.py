"""Adaptive context-mixing code for quantised tensors, with trellis-coded quantisation."""
