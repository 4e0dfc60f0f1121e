"""Does a file tell who was in it? Distances, inversion and membership inference."""
