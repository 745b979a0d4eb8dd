"""`python -m harness` is `holdwater`."""

from harness.commands.cli import main

main()
