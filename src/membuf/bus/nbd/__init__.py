"""NBD, the protocol of network block devices: disks of other processes, and serving one's own."""
