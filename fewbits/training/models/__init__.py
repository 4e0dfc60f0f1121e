"""Networks that experiments and users take as they are, and the layers that they are made of."""
