"""What a history shows: models, checkers, checks, gates, and how verdicts combine."""
