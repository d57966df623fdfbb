"""The machinery of `membuf serve`: the driver, the server, and what is said of both."""
