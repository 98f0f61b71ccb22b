"""Capabilities beside the core: each imports it, the core imports none of them."""
