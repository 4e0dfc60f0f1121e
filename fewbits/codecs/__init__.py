"""Whole codecs built on `fewbits.coding`: pixels, images by bits back, texts, labels."""
