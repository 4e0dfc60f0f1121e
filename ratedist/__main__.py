"""`python -m ratedist`: the same as `fewbits ratedist`."""

import sys

from ratedist.commands import main

if __name__ == "__main__":
    sys.exit(main())
