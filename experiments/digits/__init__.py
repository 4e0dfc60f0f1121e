"""The main job: every method once on scikit-learn's handwritten digits."""
