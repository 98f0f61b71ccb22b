"""Speed, memory and quality, measured against the peers: see README.md here."""
