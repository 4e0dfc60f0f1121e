"""`python -m fewbits`: the same as the command `fewbits`."""

import sys

from fewbits.cli import main

if __name__ == "__main__":
    sys.exit(main())
