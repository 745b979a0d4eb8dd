"""Timers in a state backend: a workload with a check, classes of anomalies, a picture and a mutant of its own."""
