"""Functions of other libraries, with their signatures, done by hnmine."""
