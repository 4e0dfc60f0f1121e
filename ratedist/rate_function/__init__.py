"""The rate-distortion function: R(D), D(R) and their derivatives."""
