"""Series, sound and vectors in frames."""
