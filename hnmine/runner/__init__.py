"""How stages run: plans of tasks, atomic outputs, markers, locks, resume."""
