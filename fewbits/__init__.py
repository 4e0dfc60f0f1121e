"""What the four methods stand on: coding, codecs, training, files, and the one command line."""
