"""`python -m harness` is `holdwater`."""

from harness.cli import main

main()
