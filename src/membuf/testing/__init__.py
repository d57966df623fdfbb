"""What other people's code is tested with: conformance kits, and hardware in Python."""

from membuf.testing import device_model, wdf
from membuf.testing.device_model import DeviceModel, DeviceModelError, Interrupt, Register
from membuf.testing.target_kit import TargetDefectError, check_target

__all__ = [
    "DeviceModel",
    "DeviceModelError",
    "Interrupt",
    "Register",
    "TargetDefectError",
    "check_target",
    "device_model",
    "wdf",
]
