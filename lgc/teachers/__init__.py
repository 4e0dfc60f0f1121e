"""A small classifier in a file: soft labels for every image that is drawn from it.

A few kilobytes of weights know more about labels than as many bytes of images do. With a *teacher*
beside images or mixtures, images may be augmented so heavily, mixed and cut, that a hard label
would be wrong (Hinton, Vinyals and Dean, 2015, "Distilling the knowledge in a neural network").
"""
