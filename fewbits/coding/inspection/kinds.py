"""What each kind of file is, and the command that reads it."""

from __future__ import annotations

from fewbits.io.errors import FormatError

KINDS = {
    "model": ("a checkpoint", "weights decode"),
    "adaptive": ("a checkpoint under context mixing", "weights decode"),
    "sparse": ("a checkpoint with many zeros", "weights decode"),
    "prior_code": ("a checkpoint under a Gaussian prior", "weights decode"),
    "text": ("a text", "text decompress"),
    "text_prior": ("statistics of texts", None),
    "lgc": ("a decoder and mixtures of images", "lgc decompress"),
    "exemplars": ("distilled images", "lgc decompress"),
    "lossy_subset": ("a subset of images, quantised", "lgc decompress"),
    "subset": ("a subset of images, lossless", None),
    "quantised": ("an array of numbers, quantised", "ratedist decode"),
    "signal": ("a signal or picture under a transform", "ratedist decode"),
    "bitalloc": ("an encoder of messages and its decoder", "bitalloc encode"),
    "bitalloc_messages": ("messages of bitalloc", "bitalloc decode"),
    "images": ("images, lossless", None),
    "integer_vae": ("an autoencoder of images", None),
    "labels": ("labels", None),
}
"""What each kind of file is, and the command that reads it. A kind that is not here has its name
only."""


def wrong_kind(kind: str, wanted: str) -> FormatError:
    """The error for a file of another kind, with what the file is.

    Args:
      kind: of the file.
      wanted: what it should be, to follow "not".
    """
    message = f"a file of kind {kind!r}, not {wanted}"
    what, command = KINDS.get(kind, (None, None))
    if what is not None:
        message += f": {what}"
    if command is not None:
        message += f"; read it with `fewbits {command}`"
    return FormatError(message)
