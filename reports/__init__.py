"""What people see of a run: one kind of picture or text a file, drawn from a history and its verdict."""
