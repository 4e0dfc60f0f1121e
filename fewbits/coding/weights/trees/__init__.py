"""Trees of parameters: names, shapes and dtypes, and what a file can hold of them."""
