"""`python -m lumilter` is `lumilter`."""

import sys

from lumilter.cli import main

sys.exit(main())
