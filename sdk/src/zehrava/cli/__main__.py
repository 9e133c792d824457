"""``python -m zehrava.cli`` is the command itself."""

import sys

from . import main

sys.exit(main())
