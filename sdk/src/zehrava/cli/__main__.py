"""``python -m zehrava.cli`` is the command itself."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
