membuf serve --help
