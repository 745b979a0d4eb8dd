"""What happened: events, histories, how they are written, read and kept."""
