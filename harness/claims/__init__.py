"""What a document promises, and the verdict on it: the claims file, running, judging, merging."""
