membuf info --help
