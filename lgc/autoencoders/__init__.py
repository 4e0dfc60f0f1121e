"""Autoencoders, their objectives and decoders, and joint training for a rate in bits."""
