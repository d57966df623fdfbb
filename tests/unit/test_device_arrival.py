"""What a device does to every request as it arrives, and the callbacks of devices and queues."""

from __future__ import annotations

from typing import Any

import pytest

import membuf
from tests.support import Recorder


def test_every_request_gets_a_context_before_it_is_presented() -> None:
    device, log = membuf.Device("arrival"), list[str]()

    @device.on_arrival
    def arrive(request: Any) -> None:
        request.add_context(list, on_destroy=lambda _: log.append("gone")).append("new")

    @device.on_default
    def handle(request: Any) -> None:
        log.extend(request.get_context(list))
        request.complete()

    with device.open() as handle_:
        handle_.write(b"a")
        handle_.write(b"b")
    assert log == ["new", "gone", "new", "gone"]


def test_what_it_raises_ends_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: reported.append(args.exc_type))
    device, presented = membuf.Device("arrival"), list[Any]()
    device.on_default(presented.append)

    @device.on_arrival
    def arrive(request: Any) -> None:
        raise membuf.InsufficientResourcesError("no room for a context")

    with device.open() as handle, pytest.raises(membuf.InsufficientResourcesError):
        handle.write(b"a")
    assert presented == []
    assert reported == [membuf.InsufficientResourcesError]


def test_devices_and_queues_have_callbacks_as_any_object() -> None:
    recorder = Recorder()
    of_device: dict[str, Any] = recorder.hooks("device")
    device = membuf.Device("arrival", **of_device)
    hooks: dict[str, Any] = recorder.hooks("queue")
    device.queue(**hooks)
    device.delete()
    assert recorder.text == "c:queue c:device d:queue d:device"
