"""`python -m lgc`: the same as `fewbits lgc`."""

import sys

from lgc.commands import main

if __name__ == "__main__":
    sys.exit(main())
