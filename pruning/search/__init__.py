"""One call from a network to a file: trials, operating points, networks as they come."""
