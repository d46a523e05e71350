"""``python -m pipelines.cli`` is ``rarewave``."""

import sys

from pipelines.cli import main

sys.exit(main())
