"""What a terminal shows: the documented table, a run, a stored history's verdict, lists, and what the machine can do.

Every function takes what results.json holds and gives text.
"""

from reports.terminal.check import listing, verdict
from reports.terminal.doctor import doctor
from reports.terminal.run import outcome
from reports.terminal.verify import table

__all__ = ["doctor", "listing", "outcome", "table", "verdict"]
