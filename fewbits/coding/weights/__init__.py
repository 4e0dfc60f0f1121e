"""Files of network parameters: uniform grids, Gaussian priors, sparse tensors."""
