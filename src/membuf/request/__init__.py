"""I/O requests: what is sent to a target, and holds its memory until it is done with it."""

from membuf.request.completion import CompletionParams, RequestType
from membuf.request.request import Request

__all__ = ["CompletionParams", "Request", "RequestType"]
