from membuf.wdf import *


def make_packets(owner):
    attributes = WDF_OBJECT_ATTRIBUTES()
    WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    attributes.ParentObject = owner
    return WdfLookasideListCreate(
        attributes,
        2048,
        NonPagedPoolNx,
        WDF_NO_OBJECT_ATTRIBUTES,
        b"Pckt",
    )


def handle_packet(packets):
    status, packet = WdfMemoryCreateFromLookaside(packets)
    if NT_SUCCESS(status):
        WdfObjectDelete(packet)  # back to the list
    return status


with driver("WdfCapture") as this:
    status, packets = make_packets(this)
    assert status == STATUS_SUCCESS
    assert handle_packet(packets) == STATUS_SUCCESS
    assert handle_packet(packets) == STATUS_SUCCESS
    # The second came from it.
    assert packets.statistics().hit_rate == 0.5
