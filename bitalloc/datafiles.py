"""A user's files for the command line: images or feature vectors, with labels for fitting."""

from __future__ import annotations

import argparse

import numpy as np

from bitalloc.inputs import as_features
from fewbits.io.image_sets import forms
from fewbits.io.image_sets.forms import Form
from fewbits.io.image_sets.labelled import read_labelled


def read(
    options: argparse.Namespace, *, need_labels: bool
) -> tuple[np.ndarray, np.ndarray | None, Form]:
    """Images or features in the user's unit, their labels if there are any, and their form.

    Args:
      options: `input`, and what `fewbits.flags.add_image_set` adds.
      need_labels: whether a set without labels is an error.

    Raises:
      InputError: a file or an array that is no such thing.
    """
    found = read_labelled(
        options.input, images=options.images, labels=options.labels, layout=options.layout,
        size=options.size, features=True, need_labels=need_labels,
    )  # fmt: skip
    as_features(found.images, str(options.input))
    if (found.labels < 0).any():
        return found.images, None, found.form
    # One name for each example, whatever the shape of the user's labels.
    text = found.form.label_dtype
    one = found.form._replace(
        label_axes="n", label_dtype="U" if np.dtype(text).kind == "S" else text
    )
    if found.form.label_axes == "one-hot":
        one = one._replace(label_dtype="int64")
    return found.images, forms.from_numbers(found.labels, one), found.form


def label_form(form: Form) -> Form:
    """What a model's file remembers of the form: the labels' dtype and axes; it knows the names."""
    kept = forms.PLAIN._replace(label_dtype=form.label_dtype, label_axes=form.label_axes)
    return kept._replace(classes=form.classes) if form.label_axes == "one-hot" else kept


def own_labels(labels: np.ndarray, form: Form) -> np.ndarray:
    """Decoded labels (N,) in the form that the user has them in."""
    if form.label_axes == "one-hot":
        return forms.from_numbers(labels, form)
    dtype = np.dtype(form.label_dtype)
    labels = np.char.encode(labels, "utf-8") if dtype.kind == "S" else labels.astype(dtype)
    return labels[:, None] if form.label_axes == "n1" else labels
