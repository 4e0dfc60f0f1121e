"""Texts as files: a transformer says what byte comes next, an entropy coder writes what it did not.

Offline, the file holds a trained, pruned, quantised network and the text coded under it. Online it
holds no network: encoder and decoder both train one on what they have coded so far.
"""
