"""The contract of the document's operations as rules that a backend's client keeps or breaks, without faults: `holdwater contract`."""
