"""Texts under many mixed contexts, in whole numbers, so that a file decodes anywhere.

`coder` codes bytes with `kernel`'s compiled loops; `reference` decodes them in plain Python;
`FORMAT.md` of the parent package is the definition of both.
"""
