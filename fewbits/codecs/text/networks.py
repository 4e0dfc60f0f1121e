"""Texts under a transformer from the command line: `--online` and `--model`."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial

from fewbits.codecs.text import header, offline, online, streams
from fewbits.coding import FormatError
from fewbits.io import inputs


def compress(options: argparse.Namespace, text: bytes, progress: streams.Progress) -> bytes:
    """The file of a text under the network that the options name.

    Raises:
      FormatError: `--model` is no offline text file.
    """
    run = partial(streams.run, progress=progress)
    if options.model is None:
        learning = dataclasses.replace(online.Learning(), seed=options.seed)
        return online.compress(text, online.OnlineConfig(learning=learning), run=run)
    options.blamed = options.model
    described, _, sections = header.read(inputs.read_file(options.model))
    if described.mode != offline.MODE:
        raise FormatError("an online text file holds no network")
    network = sections.sections.get(offline.NETWORK, b"")
    return offline.compress(text, described.model, network, run=run)
