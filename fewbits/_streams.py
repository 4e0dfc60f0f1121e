"""Standard output and interruptions of a command."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

_AGAIN_SECONDS = 0.05


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """An interruption is a KeyboardInterrupt, whatever a library has made of it."""
    seen = False

    def stop(*_: object) -> NoReturn:
        nonlocal seen
        seen = True
        raise KeyboardInterrupt

    def again(unraisable: Any) -> None:
        # Python drops what is raised in a finaliser or while garbage is collected.
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            usual(unraisable)

    replaced, usual = False, sys.unraisablehook
    with contextlib.suppress(ValueError):  # not in the main thread
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, stop)
            replaced, sys.unraisablehook = True, again
    try:
        yield
    except Exception as error:
        if seen:
            raise KeyboardInterrupt from error
        raise
    finally:
        if replaced:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = usual


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Standard output for results alone: what compiled libraries print goes to standard error."""
    for descriptor in range(3):  # or a file of ours might get the number of a closed stream
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    usual, saved = sys.stdout, None
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if usual.fileno() == 1:
            os.fstat(2)
            saved = os.dup(1)
    if saved is None:
        yield
        return
    usual.flush()
    os.dup2(2, 1)
    # A name of a file may hold bytes that are no text.
    sys.stdout = open(saved, "w", encoding=usual.encoding, errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    finally:
        ours, sys.stdout = sys.stdout, usual
        os.dup2(saved, 1)
        with contextlib.suppress(OSError):
            ours.close()


@contextlib.contextmanager
def whole_output() -> Iterator[None]:
    """Help and results are flushed here, where a reader that has gone is no error."""
    try:
        yield
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            discard_output()


def discard_output() -> None:
    """What is left in Python's buffer goes nowhere when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
