"""What other people's code is tested with: conformance kits."""

from membuf.testing.target_kit import TargetDefectError, check_target

__all__ = ["TargetDefectError", "check_target"]
