"""Settings for all tests; being here, this file also puts the oracles beside it on the path."""

import os

# Tests run in parallel processes, one a core: a second thread in each would only wait for the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")
