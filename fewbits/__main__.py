"""`python -m fewbits`: the same as the command `fewbits`."""

import signal
import sys


def main() -> int:
    """Runs the process's command line; returns the exit status."""
    # Until the program can say in one line that it was interrupted, it just ends: a traceback
    # through half of its imports would help nobody.
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fewbits import cli

    signal.signal(signal.SIGINT, usual)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
