"""How a history is made: a plan, clients, a deployment, faults, and the run that carries the plan out."""
