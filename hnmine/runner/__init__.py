"""Run plans of tasks: atomic outputs, markers, locks, resume."""
