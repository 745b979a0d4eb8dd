"""One fault a file, each with the probe that proves it and the one that proves it healed."""
