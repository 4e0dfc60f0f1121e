"""Codes for signals with memory: block transforms and adaptive binary contexts."""
