"""What a network's graph says: weights on no path, units that can be cut out."""
