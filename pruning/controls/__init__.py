"""Published methods to compare with: gradual magnitude pruning, hard-concrete gates."""
