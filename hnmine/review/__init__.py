"""`hnmine review`: which candidates a person judges, and the page to judge them on."""
