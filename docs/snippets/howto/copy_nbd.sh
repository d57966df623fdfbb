head -c 4M /dev/urandom >disk.img && truncate -s 64M disk.img

membuf serve ram:64MiB --nbd "nbd+unix:///?socket=$PWD/disk.sock" --quiet &
trap 'kill %1 && wait %1' EXIT
until test -S disk.sock; do sleep 0.1; done
export_uri="nbd+unix:///?socket=$PWD/disk.sock"

membuf copy --verify disk.img "$export_uri"                      # to the server, holes too
membuf copy "$export_uri" back.img                               # and from it
membuf copy --connections 8 "$export_uri" null:                  # how fast can it be read?
membuf copy "rate(limit=1GiB/s)+$export_uri" slow.img            # leave others something
cmp disk.img back.img && cmp disk.img slow.img
