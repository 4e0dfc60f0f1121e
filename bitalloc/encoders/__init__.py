"""What sensors send: thresholds, projections, and small networks."""
