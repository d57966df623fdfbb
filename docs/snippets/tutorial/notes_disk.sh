cp "$(dirname "$0")/notes_disk.py" .
# serve
membuf serve notes_disk.py --nbd "nbd+unix:///?socket=$PWD/notes.sock" --quiet > served.txt &
until [ -S notes.sock ]; do sleep 0.1; done
# use
qemu-io -f raw -c "write -P 7 1M 64k" -c "read -P 7 1M 64k" "nbd+unix:///?socket=$PWD/notes.sock"
nbdinfo --size "nbd+unix:///?socket=$PWD/notes.sock"
nbdinfo --map "nbd+unix:///?socket=$PWD/notes.sock"
# copy
membuf copy --quiet "nbd+unix:///?socket=$PWD/notes.sock" saved.img > copied.txt
cmp <(head -c 64K <(tail -c +1048577 saved.img)) <(head -c 64K /dev/zero | tr '\0' '\7')
# end
kill %1
wait %1
