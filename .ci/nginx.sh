# Sourced by the scripts beside it: an nginx of our own on free ports of the
# loopback interface, with a certificate made on the spot. It needs $work, a
# private directory, and sets $http, $https (base URLs) and $ca (a file).
# shellcheck shell=bash disable=SC2034,SC2154

PATH=$PATH:/usr/sbin:/sbin
nginx_pid=
http=
https=
ca=

# make_certificates makes a CA and a certificate for 127.0.0.1 and localhost.
make_certificates() {
	local tls=$work/tls
	mkdir "$tls"
	ca=$tls/ca.pem
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
		-days 2 -subj '/CN=dlmanager test CA' \
		-addext 'basicConstraints=critical,CA:TRUE' \
		-addext 'keyUsage=critical,keyCertSign,cRLSign' \
		-keyout "$tls/ca.key" -out "$ca" 2>"$tls/log"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
		-subj '/CN=localhost' -keyout "$tls/server.key" -out "$tls/server.csr" 2>>"$tls/log"
	cat >"$tls/extensions" <<-'EOF'
		subjectAltName=DNS:localhost,IP:127.0.0.1
		basicConstraints=critical,CA:FALSE
		extendedKeyUsage=serverAuth
	EOF
	openssl x509 -req -in "$tls/server.csr" -CA "$ca" -CAkey "$tls/ca.key" -CAcreateserial \
		-days 2 -extfile "$tls/extensions" -out "$tls/server.pem" 2>>"$tls/log"
}

# free_port prints a port nobody listens on, below the range that the kernel
# hands out to outgoing connections.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 10000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
}

# start_nginx ROOT [LOCATIONS] serves the folder ROOT, with more location
# blocks in the file LOCATIONS, where @HTTP@ stands for the plain base URL and
# @ROOT@ for ROOT.
start_nginx() {
	local root=$1 locations=${2:-} try
	for try in 1 2 3 4 5; do
		if try_nginx "$root" "$locations"; then
			return
		fi
		echo "nginx did not come up (try $try):" >&2
		tail -n 5 "$work/nginx/error.log" >&2 || true
	done
	return 1
}

try_nginx() {
	local root=$1 locations=$2 dir=$work/nginx plain tls
	mkdir -p "$dir"
	plain=$(free_port)
	tls=$(free_port)
	[ "$plain" != "$tls" ] || return 1
	http=http://127.0.0.1:$plain
	https=https://localhost:$tls
	: >"$dir/locations.conf"
	if [ -n "$locations" ]; then
		sed -e "s|@HTTP@|$http|g" -e "s|@ROOT@|$root|g" "$locations" >"$dir/locations.conf"
	fi
	nginx_conf "$root" "$dir" "$plain" "$tls" >"$dir/nginx.conf"
	run_nginx
}

# restart_nginx starts the server again where stop_nginx has ended it: same
# ports, same log.
restart_nginx() {
	local try
	for try in 1 2 3 4 5; do
		if run_nginx; then
			return
		fi
		echo "nginx did not come back (try $try)" >&2
	done
	return 1
}

run_nginx() {
	local dir=$work/nginx
	nginx -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf" </dev/null >"$dir/stdout" 2>&1 &
	nginx_pid=$!
	local deadline=$((SECONDS + 10))
	while kill -0 "$nginx_pid" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do
		if curl -s -o "$dir/up" "$http/up" && [ "$(cat "$dir/up")" = "$nginx_pid" ]; then
			return 0
		fi
		sleep 0.05
	done
	stop_nginx
	return 1
}

# nginx_conf prints the configuration. The location /up answers with the master's pid, so that
# no other server is taken for ours. Compression is on for whoever asks for it.
nginx_conf() {
	local root=$1 dir=$2 plain=$3 tls=$4 user=
	if [ "$(id -u)" = 0 ]; then
		user='user root;' # the work directory is private
	fi
	cat <<-EOF
		$user
		daemon off;
		worker_processes 1;
		pid $dir/pid;
		events { worker_connections 512; }
		http {
			access_log $dir/access.log;
			default_type application/octet-stream;
			sendfile on;
			tcp_nopush on;
			keepalive_requests 100000;
			gzip on;
			gzip_types *;
			gzip_min_length 1;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi;
			uwsgi_temp_path $dir/uwsgi;
			scgi_temp_path $dir/scgi;
			server {
				listen 127.0.0.1:$plain;
				listen 127.0.0.1:$tls ssl http2;
				server_name localhost;
				ssl_certificate $work/tls/server.pem;
				ssl_certificate_key $work/tls/server.key;
				root $root;
				location = /up { alias $dir/pid; access_log off; gzip off; }
				include $dir/locations.conf;
			}
		}
	EOF
}

# stop_nginx ends the server by its own pid and waits for it.
stop_nginx() {
	if [ -n "$nginx_pid" ]; then
		kill -TERM "$nginx_pid" 2>/dev/null || true
		wait "$nginx_pid" 2>/dev/null || true
		nginx_pid=
	fi
}
