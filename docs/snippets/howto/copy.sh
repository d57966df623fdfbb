head -c 16M /dev/urandom >disk.img && truncate -s 64M disk.img   # data, then a hole

membuf copy disk.img copy.img                                    # a file; holes stay holes
membuf copy --verify disk.img copy.img                           # and read it back
membuf copy --direct --block-size 1MiB --queue-depth 8 disk.img copy.img
gzip --stdout disk.img | gunzip | membuf copy --sparse - copy.img
membuf copy --json disk.img - >copy.img
