# authority
mkdir certificates && cd certificates
openssl req -x509 -newkey rsa:2048 -noenc -days 30 -subj "/CN=my authority" \
  -keyout ca-key.pem -out ca-cert.pem 2>ca.log
# server
openssl req -newkey rsa:2048 -noenc -subj "/CN=localhost" \
  -keyout server-key.pem -out server.csr 2>server.log
openssl x509 -req -in server.csr -CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial -days 30 \
  -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1') -out server-cert.pem 2>>server.log
# client
openssl req -newkey rsa:2048 -noenc -subj "/CN=a client" \
  -keyout client-key.pem -out client.csr 2>client.log
openssl x509 -req -in client.csr -CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial -days 30 \
  -extfile <(printf 'extendedKeyUsage=clientAuth') -out client-cert.pem 2>>client.log
cd ..
# serve
membuf serve ram:64MiB --nbd "nbd+unix:///?socket=$PWD/disk.sock" \
  --tls require --tls-certificates certificates --tls-verify-clients --quiet > served.txt &
until [ -S disk.sock ]; do sleep 0.1; done
# use
uri="nbds+unix:///?socket=$PWD/disk.sock&tls-certificates=$PWD/certificates&tls-hostname=localhost"
membuf info "$uri"
# refused
if membuf info "nbd+unix:///?socket=$PWD/disk.sock"; then exit 1; fi
# end
kill %1
wait %1
