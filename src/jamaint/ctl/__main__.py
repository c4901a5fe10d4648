"""`python -m jamaint.ctl`: the client without its script."""

import sys

from jamaint.ctl.main import main

sys.exit(main())
