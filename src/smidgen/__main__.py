"""`python -m smidgen` is `smidgen`."""

from smidgen.cli import main

main()
