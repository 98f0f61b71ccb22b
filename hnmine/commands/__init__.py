"""The three commands as functions: settings in, a finished directory and its counts out."""
