"""What is asked and what comes back: source, distortion tables, constraints, points."""
