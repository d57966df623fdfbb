"""What is at the other end of a target's name: the figures that `membuf info` shows."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from membuf.base.errors import InvalidParameterError, MembufError
from membuf.bus import FileTarget, NullTarget, RamTarget
from membuf.bus.names import Name
from membuf.bus.registry import open_target, parse_name, schemes
from membuf.cli.failure import CommandError, ExitCode
from membuf.cli.serving.mistakes import words_of
from membuf.request.storage import Extent
from membuf.target.target import Target

if TYPE_CHECKING:
    from membuf.bus.nbd import ExportInfo, NbdUri

LISTED: Final = 1000
"""Extents of a map."""
_COUNTED: Final = 100_000
"""Extents that are looked at for the sums of data and holes."""
_IS_READ_ONLY: Final = 0x125E  # BLKROGET
_NBD: Final = ("nbd", "nbds", "nbd+unix", "nbds+unix")

CAN: Final = {
    "SEND_FLUSH": "flush",
    "SEND_FUA": "FUA",
    "SEND_TRIM": "trim",
    "SEND_WRITE_ZEROES": "zeros",
    "SEND_FAST_ZERO": "fast zeros",
    "SEND_CACHE": "prefetch",
    "SEND_DF": "undivided reads",
    "SEND_RESIZE": "resize",
    "CAN_MULTI_CONN": "several connections",
    "ROTATIONAL": "rotational",
}
"""The flags of an export in words."""


@dataclass
class Map:
    """Where there is data.

    Attributes:
        data, holes: their bytes, as far as was looked.
        end: the offset up to which was looked.
        whole: whether that is all of it.
        listed: the first extents.
    """

    data: int = 0
    holes: int = 0
    end: int = 0
    whole: bool = True
    listed: list[Extent] = field(default_factory=list[Extent])

    def count(self, extents: Iterable[Extent]) -> None:
        """Count extents in; neighbours of one kind are one."""
        for number, extent in enumerate(extents):
            if number == _COUNTED:
                self.whole = False
                return
            self.end = extent.offset + extent.length
            if extent.data:
                self.data += extent.length
            else:
                self.holes += extent.length
            self._list(extent)

    @property
    def cut(self) -> bool:
        """Whether there are more extents than are listed."""
        last = self.listed[-1] if self.listed else None
        return not self.whole or (last is not None and last.offset + last.length < self.end)

    def _list(self, extent: Extent) -> None:
        last = self.listed[-1] if self.listed else None
        if (
            last is not None
            and last.data == extent.data
            and last.offset + last.length == extent.offset
        ):
            self.listed[-1] = last._replace(length=last.length + extent.length)
        elif len(self.listed) < LISTED:
            self.listed.append(extent)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found.

    Attributes:
        name: what was looked at.
        kind: "nbd", "file", "block device", "ram" and so on.
        figures: what is known of it.
        exports: of a server, what is known of each.
        map: where there is data, if that was looked for.
    """

    name: str
    kind: str
    figures: dict[str, Any]
    exports: tuple[dict[str, Any], ...] = ()
    map: Map | None = None


def look(text: str, *, maps: bool, seconds: float) -> Finding:
    """Look at what a name names.

    Args:
        text: a target's name, or a path.
        maps: whether it is to be said where an export's data are.
        seconds: for connecting to a server.

    Raises:
        CommandError: the name is none, or nothing is there.
    """
    try:
        name = parse_name(text)
    except InvalidParameterError as error:
        raise CommandError(words_of(error), ExitCode.USAGE) from error
    if name.scheme not in schemes():
        if name.scheme and not Path(text).exists():
            raise _no_name(text)
        name = Name((), "file", text)
    try:
        if name.scheme in _NBD and not name.layers:
            return _look_at_server(text, maps=maps, seconds=seconds)
        if name.scheme == "file" and (special := _special(name)) is not None:
            return special
        return _look_at_target(text, name)
    except OSError as error:
        words = words_of(error)
        if name.scheme == "file":
            short = (error.strerror or words).removeprefix("cannot open the target: ")
            words = f"cannot open {text}: {short}"
        hint = ""
        if "has no export" in words:
            hint = "with no name in the URI, all exports are listed"
        raise CommandError(words, ExitCode.UNUSABLE, number=error.errno, hint=hint) from error
    except (InvalidParameterError, TypeError) as error:
        raise CommandError(words_of(error), ExitCode.USAGE) from error
    except MembufError as error:
        raise CommandError(f"{text}: {words_of(error)}", ExitCode.UNUSABLE) from error


def _no_name(text: str) -> CommandError:
    known = ", ".join(f"{scheme}:" for scheme in schemes())
    return CommandError(
        f"{text!r} is no target's name and no file",
        ExitCode.USAGE,
        hint=f"a target is named by a path, or SCHEME:REST with a scheme among {known}",
    )


# ---- servers -------------------------------------------------------------------------------------


def _look_at_server(text: str, *, maps: bool, seconds: float) -> Finding:
    from membuf.bus.nbd import parse_uri

    uri = parse_uri(text)
    exports, listed = _exports(uri, seconds)
    found: Map | None = None
    if maps:
        if len(exports) != 1:
            raise CommandError(
                f"--map looks into one export, and there are {len(exports)}",
                ExitCode.USAGE,
                hint="name it in the URI",
            )
        found = _map_of_export(uri, exports[0].name, seconds)
    figures: dict[str, Any] = {"place": uri.place, "tls": uri.tls, "listed": listed}
    return Finding(
        name=text, kind="nbd", figures=figures, exports=tuple(map(_export, exports)), map=found
    )


def _exports(uri: NbdUri, seconds: float) -> tuple[list[ExportInfo], bool]:
    """The exports that are meant, and whether the server listed them."""
    from membuf.bus.nbd import describe, list_exports

    if uri.export:
        return [describe(uri, connect_timeout=seconds)], False
    try:
        return list_exports(uri, connect_timeout=seconds), True
    except MembufError as failure:
        try:  # one that does not list its exports may have a default one
            return [describe(uri, connect_timeout=seconds)], False
        except MembufError:
            raise failure from None


def _map_of_export(uri: NbdUri, export: str, seconds: float) -> Map:
    from dataclasses import replace

    found = Map()
    name = str(replace(uri, export=export))
    with open_target(name, access="read", connect_timeout=seconds) as target:
        found.count(target.extents())
    return found


def _export(info: ExportInfo) -> dict[str, Any]:
    flags = [one.name for one in type(info.flags) if one & info.flags and one.name is not None]
    return {
        "name": info.name,
        "description": info.description,
        "size": info.size,
        "writable": info.writable,
        "flags": [name.lower() for name in flags if name != "HAS_FLAGS"],
        "can": [words for name, words in CAN.items() if name in flags],
        "block_sizes": {
            "minimum": info.minimum_block,
            "preferred": info.preferred_block,
            "maximum": info.maximum_payload,
        },
        "contexts": list(info.contexts),
        "structured_replies": info.structured,
        "multiple_connections": info.multiple_connections,
    }


# ---- files and other targets ---------------------------------------------------------------------


def _special(name: Name) -> Finding | None:
    """What is no disk, and might not even let itself be opened: pipes wait for who writes."""
    mode = Path(name.rest).stat().st_mode
    if stat.S_ISSOCK(mode):
        raise CommandError(
            f"{name.rest} is a socket",
            ExitCode.UNUSABLE,
            hint=f"an NBD server there is named nbd+unix:///?socket={name.rest}",
        )
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        kind = "pipe" if stat.S_ISFIFO(mode) else "character device"
        return Finding(
            name=name.rest,
            kind=kind,
            figures={"stream": True, "writable": os.access(name.rest, os.W_OK)},
        )
    return None


def _look_at_target(text: str, name: Name) -> Finding:
    options = {"access": "read"} if name.scheme in ("file", *_NBD) else {}
    uri = text if text != name.rest else f"file:{text}"
    with open_target(uri, **options) as target:
        bottom = _bottom(target)
        try:
            size = target.size
        except MembufError:
            raise
        except OSError:  # a file as those in /proc, whose length nobody knows
            return Finding(name=text, kind="file", figures={"stream": True, "writable": False})
        figures: dict[str, Any] = {
            "size": size,
            "writable": _is_writable(name, bottom),
            "filters": [layer.name for layer in name.layers],
            "offset_alignment": target.offset_alignment,
            "engine": bottom.statistics().engine,
        }
        if isinstance(bottom, FileTarget) and name.scheme == "file":
            figures["direct"] = _direct(name.rest)
        found = Map()
        found.count(target.extents())
        kind = _kind(name, bottom)
    return Finding(
        name=text,
        kind=kind,
        figures=figures,
        map=found,
    )


def _bottom(target: Target) -> Target:
    while (lower := getattr(target, "lower", None)) is not None:
        target = lower
    return target


def _kind(name: Name, bottom: Target) -> str:
    if isinstance(bottom, RamTarget | NullTarget):
        return "memory" if isinstance(bottom, RamTarget) else "nothing"
    if not isinstance(bottom, FileTarget):
        return "nbd" if name.scheme in _NBD else "device"
    return "block device" if stat.S_ISBLK(os.fstat(bottom.fileno()).st_mode) else "file"


def _is_writable(name: Name, bottom: Target) -> bool:
    if name.scheme == "file" and isinstance(bottom, FileTarget):  # which was opened to be read
        return os.access(name.rest, os.W_OK) and not _is_write_protected(bottom.fileno())
    if name.scheme in _NBD:
        info: ExportInfo = getattr(bottom, "info")  # noqa: B009 - its class loads much
        return info.writable
    return bool(getattr(bottom, "writable", True))


def _is_write_protected(fd: int) -> bool:
    if not stat.S_ISBLK(os.fstat(fd).st_mode):
        return False
    return any(fcntl.ioctl(fd, _IS_READ_ONLY, bytes(4)))


def _direct(path: str) -> dict[str, int] | None:
    """What direct I/O asks for, or None where there is none."""
    try:
        with open_target(f"file:{path}", access="read", direct=True) as target:
            limits = getattr(target, "limits", None)
            return None if limits is None else {"memory": limits.memory, "offset": limits.offset}
    except (MembufError, OSError):
        return None


def shown_extents(found: Map, most: int) -> list[Extent]:
    """The first extents of a map."""
    return list(islice(found.listed, most))
