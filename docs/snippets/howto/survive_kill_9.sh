truncate -s 4M disk.img
uri="nbd+unix:///?socket=$PWD/disk.sock"

python -m membuf.testing.durability --kills 3 "$uri" \
    membuf serve --quiet "stats+file:disk.img" --nbd "$uri"
