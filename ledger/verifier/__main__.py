"""`python -m ledger.verifier`, for a checkout that is not installed."""

import sys

from ledger.verifier.cli import main

sys.exit(main())
