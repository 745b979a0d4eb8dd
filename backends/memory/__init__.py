"""The store in this process' memory, or in a child's: perfect by one mutex, gone with its process."""
