"""A device above a target: what it receives goes there, with the request's own memory."""

from __future__ import annotations

from pathlib import Path

import membuf


def test_a_received_request_is_for_its_devices_local_target(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"0123456789")
    with membuf.open_target(f"file:{path}", access="read") as file:
        device = membuf.Device("above", lower=file)

        @device.on_read
        def read(request: membuf.ReceivedRequest) -> None:
            assert request.target is file
            request.format_read(request.output_memory(), offset=request.offset)
            request.send(completed)

        def completed(request, target, params, context) -> None:
            request.complete(params.status, params.information)

        with device.open() as handle:
            assert handle.read(4, offset=3) == b"3456"
            assert handle.read(4, offset=8) == b"89"
        device.delete()


def test_without_one_it_has_no_target() -> None:
    device = membuf.Device("bottom")
    seen = []

    @device.on_read
    def read(request: membuf.ReceivedRequest) -> None:
        seen.append(request.target)
        request.complete()

    with device.open() as handle:
        handle.read(4)
    assert seen == [None]
    device.delete()
