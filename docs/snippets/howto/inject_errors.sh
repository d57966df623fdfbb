# serve
truncate -s 64M disk.img
uri="nbd+unix:///?socket=$PWD/disk.sock"
membuf serve --quiet "error(kind=eio,rate=5%,on=write,seed=7)+file:disk.img" --nbd "$uri" &
trap 'kill %1' EXIT
until nbdinfo --size "$uri" 2>/dev/null; do sleep 0.1; done

# fio
fio --name=bad --ioengine=nbd --uri="$uri" --rw=randwrite --bs=4k --size=8M \
    --continue_on_error=write --error_dump=0 --output-format=json --output=bad.json || true
python -c 'import json; print(json.load(open("bad.json"))["jobs"][0]["total_err"], "errors")'

# qemu-io
for block in $(seq 200); do
    qemu-io -f raw -c "write -P 7 $((block * 64))k 64k" "$uri" >>qemu.log 2>&1 || true
done
grep --count "Input/output error" qemu.log
