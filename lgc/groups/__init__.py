"""Images in known groups: layered archives, and the SpuCo MNIST data."""
