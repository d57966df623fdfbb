"""`python -m membuf.cli`, for where the `membuf` script is not on the path."""

from membuf.cli import main

if __name__ == "__main__":
    main()
