"""Train students on mined directories, and measure what they retrieve for held-out queries."""
