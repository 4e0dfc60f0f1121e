"""Pictures in square cosine blocks."""
