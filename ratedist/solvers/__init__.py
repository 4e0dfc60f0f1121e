"""The convex rate-distortion problem: solvers, constraints, certificates, derivatives."""
