"""From candidates to hard negatives: rules, verdicts, choice, document cap, deeper mining."""
