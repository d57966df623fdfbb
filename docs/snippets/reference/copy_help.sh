membuf copy --help
