"""The search for the most useful file within a budget of bytes, and what it is compared with."""
