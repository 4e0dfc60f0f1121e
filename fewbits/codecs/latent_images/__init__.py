"""Lossless coding of grey images by bits back with a variational autoencoder."""
