"""ntdef.h: the severity of a status."""

from membuf.base.status import nt_error as NT_ERROR
from membuf.base.status import nt_information as NT_INFORMATION
from membuf.base.status import nt_success as NT_SUCCESS
from membuf.base.status import nt_warning as NT_WARNING

__all__ = ["NT_ERROR", "NT_INFORMATION", "NT_SUCCESS", "NT_WARNING"]
