"""VGG-16 pruned iteratively, down to files."""
