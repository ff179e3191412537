"""The command line: a file for each command, over the functions of the library."""
