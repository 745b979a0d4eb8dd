"""The core of Holdwater: what happened, what is allowed, what we conclude.

Imports none of the packages beside it (backends, workloads, faults, reports): they are found
by name through entry points (`harness.registry`).
"""
