"""The client's side of NBD: exports of servers as targets."""
