# Sourced by e2e-nginx: what goes wrong midway, with a server that dies, a file
# that is replaced, a command that is killed, and a disk that is full. It uses
# what that script has: $work, $www, $dlm, check, run and the rest.
# shellcheck shell=bash disable=SC2016,SC2034,SC2154

trouble_size=$((24 << 20))
trouble_pid=
trouble_disk=

# trouble_locations prints the location blocks that are needed. Below /midway/ an answer
# that begins before hurry is called all but stands still after 4 MiB.
trouble_locations() {
	cat <<-'EOT'
		location /noranges/ { alias @ROOT@/; max_ranges 0; }
		location /midway/ {
			alias @ROOT@/trouble/;
			limit_rate_after 4m;
			set $pace 16k;
			if (-f @ROOT@/hurry) { set $pace 0; }
			limit_rate $pace;
		}
	EOT
}

# trouble_files makes the files of this script. They are old, so that a newer
# version has another tag.
trouble_files() {
	local name
	mkdir "$www/trouble"
	for name in restart replaced killed disk; do
		head -c "$trouble_size" /dev/urandom >"$www/trouble/$name.bin"
		touch -d '2020-01-01' "$www/trouble/$name.bin"
	done
}

hurry() { : >"$www/hurry"; }

# trouble_cleanup ends what runs and takes the disk away. It may be called
# twice.
trouble_cleanup() {
	if [ -n "$trouble_pid" ]; then
		kill -KILL "$trouble_pid" 2>/dev/null || true
		wait "$trouble_pid" 2>/dev/null || true
		trouble_pid=
	fi
	if [ -n "$trouble_disk" ]; then
		umount "$trouble_disk" || umount -l "$trouble_disk" || true
		trouble_disk=
	fi
}

# begin CACHE ARG… runs dlm in the background until it has stored a few MiB and
# noted that.
begin() {
	local cache=$1 deadline=$((SECONDS + 60))
	shift
	rm -f "$www/hurry"
	"$dlm" get --cache-dir "$cache" "$@" >"$work/out" 2>"$work/err" </dev/null &
	trouble_pid=$!
	until midway "$cache" || [ "$SECONDS" -ge "$deadline" ]; do
		sleep 0.02
	done
	midway "$cache" && kill -0 "$trouble_pid" 2>/dev/null
}

# midway tells whether a partial file has some MiB, by the note beside it.
midway() {
	local part
	part=$(find "$1" -name '*.part' -print -quit 2>/dev/null)
	[ -n "$part" ] && quiet jq -e --argjson least $((2 << 20)) \
		'[.partial.ranges // [] | .[] | .to - .from] | add // 0 | . >= $least' "${part%.part}.json"
}

# ended waits for what begin began; its exit code is in $status.
ended() {
	local deadline=$((SECONDS + 60))
	while kill -0 "$trouble_pid" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do
		sleep 0.05
	done
	kill -KILL "$trouble_pid" 2>/dev/null || true
	status=0
	wait "$trouble_pid" 2>/dev/null || status=$?
	trouble_pid=
}

# answers PATH prints status and bytes of the answers logged for it, in order.
answers() {
	requests "$1" >/dev/null # waits for the log
	awk -v path="$1" '$6 == "\"GET" && $7 == path { print $9, $10 }' "$work/nginx/access.log"
}

bytes_sent() { answers "$1" | awk '{ sum += $2 } END { print sum + 0 }'; }
statuses() { answers "$1" | awk '{ print $1 }' | sort -u | tr '\n' ' '; }

no_ranges() {
	local cache=$work/cache-noranges
	run get --cache-dir "$cache" --connections 4 "$http/noranges/big.bin"
	check 'a server without ranges: exit code 0' exited 0
	check 'a server without ranges: the content' printed "$cache" "$www/big.bin"
	check 'a server without ranges: no part is sent' equal '200 ' "$(statuses /noranges/big.bin)"
	check 'a server without ranges: no partial file is left' no_partial "$cache"
}

http2_with_ranges() {
	local cache=$work/cache-http2 version
	version=$(curl -s --http2 --cacert "$ca" -o "$work/h2" -w '%{http_version}' "$https/one.bin")
	check 'the server speaks HTTP/2 with whoever asks' equal 2 "$version"
	hurry
	run get --cache-dir "$cache" --cacert "$ca" --connections 4 "$https/midway/restart.bin"
	check 'the TLS port that speaks HTTP/2: exit code 0' exited 0
	check 'the TLS port that speaks HTTP/2: the content' printed "$cache" "$www/trouble/restart.bin"
}

server_restarts() {
	local connections=$1 cache=$work/cache-restart-$1 path="/midway/restart.bin?$1" before
	check "restart, $connections: the download is midway" begin "$cache" --connections "$connections" "$http$path"
	stop_nginx
	hurry
	before=$(wc -l <"$work/nginx/access.log")
	check "restart, $connections: the server is back" restart_nginx
	ended
	check "restart, $connections: exit code 0" exited 0
	check "restart, $connections: the content" printed "$cache" "$www/trouble/restart.bin"
	check "restart, $connections: no partial file is left" no_partial "$cache"
	check "restart, $connections: then only parts are sent" equal '206 ' \
		"$(answers "$path" >/dev/null; tail -n "+$((before + 1))" "$work/nginx/access.log" |
			awk -v path="$path" '$7 == path { print $9 }' | sort -u | tr '\n' ' ')"
	check "restart, $connections: about one file is sent" at_most "$(bytes_sent "$path")" $((trouble_size + (4 << 20)))
}

file_replaced() {
	local connections=$1 cache=$work/cache-replaced-$1 path="/midway/replaced.bin?$1" new=$work/replacement sum
	head -c "$trouble_size" /dev/urandom >"$new"
	sum=$(sha256sum <"$new")
	check "replaced, $connections: the download is midway" begin "$cache" --connections "$connections" "$http$path"
	stop_nginx
	mv "$new" "$www/trouble/replaced.bin"
	touch -d "2021-01-0$((connections))" "$www/trouble/replaced.bin"
	hurry
	check "replaced, $connections: the server is back" restart_nginx
	ended
	check "replaced, $connections: exit code 0" exited 0
	check "replaced, $connections: wholly the new version" equal "$sum" "$(sha256sum <"$(cat "$work/out")")"
	check "replaced, $connections: no partial file is left" no_partial "$cache"
}

command_killed() {
	local connections=$1 cache=$work/cache-killed-$1 path="/midway/killed.bin?$1"
	check "killed, $connections: the download is midway" begin "$cache" --connections "$connections" "$http$path"
	kill -KILL "$trouble_pid" 2>/dev/null || true
	ended
	check "killed, $connections: exit code 137" exited 137
	check "killed, $connections: nothing under the final name" nothing_in "$cache"
	hurry
	run get --cache-dir "$cache" --json "$http$path"
	check "killed, $connections: the next one ends with 0" exited 0
	check "killed, $connections: it went on" quiet jq -e --argjson size "$trouble_size" \
		'.origin == "resumed" and .bytes == $size' "$work/out"
	check "killed, $connections: the content" cmp -s "$(jq -r .path "$work/out")" "$www/trouble/killed.bin"
	check "killed, $connections: no partial file is left" no_partial "$cache"
}

# disk_full needs a small disk of its own, and so to be root.
disk_full() {
	local disk=$work/disk path="/trouble/disk.bin?full"
	mkdir "$disk"
	if ! mount -t tmpfs -o "size=$((trouble_size + (8 << 20)))" tmpfs "$disk" 2>/dev/null; then
		echo '      no disk can be mounted: the full disk was not tried'
		return
	fi
	trouble_disk=$disk
	head -c $((20 << 20)) /dev/zero >"$disk/ballast"
	run get --cache-dir "$disk/cache" --connections 1 "$http$path"
	check 'full disk: exit code 6' exited 6
	check 'full disk: says so' says 'no space'
	check 'full disk: nothing under the final name' nothing_in "$disk/cache"
	rm "$disk/ballast"
	run get --cache-dir "$disk/cache" --connections 1 --json "$http$path"
	check 'full disk: with space the same command ends with 0' exited 0
	check 'full disk: it went on' quiet jq -e '.origin == "resumed"' "$work/out"
	check 'full disk: the content' cmp -s "$(jq -r .path "$work/out")" "$www/trouble/disk.bin"
	check 'full disk: no partial file is left' no_partial "$disk/cache"
	disk_evicts "$disk/cache"
	trouble_cleanup
}

# disk_evicts CACHE fills the disk that holds one large file by another one. What
# was used a moment ago goes, too, but for the newest file.
disk_evicts() {
	local cache=$1 old=$1/large
	head -c 1000 /dev/urandom >"$www/trouble/small.bin"
	rm -rf "$cache"
	run get --cache-dir "$cache" --name large "$http/trouble/disk.bin"
	check 'full disk, evicting: the first file fits' exited 0
	run get --cache-dir "$cache" --name newest "$http/trouble/small.bin"
	run get --cache-dir "$cache" "$http/trouble/killed.bin"
	check 'full disk, evicting: exit code 6 while all may stay' exited 6
	check 'full disk, evicting: the first file is there' test -e "$old"
	rm -f "$cache"/.dlm/partial/*
	run get --cache-dir "$cache" --keep 1 --grace 1h --name large2 "$http/trouble/killed.bin"
	check 'full disk, evicting: exit code 0' exited 0
	check 'full disk, evicting: the content' cmp -s "$cache/large2" "$www/trouble/killed.bin"
	check 'full disk, evicting: the old file went' test ! -e "$old"
	check 'full disk, evicting: the newest stayed' test -e "$cache/newest"
}

# disk_too_small is a file system that gives out blocks in advance: it says that
# it is full before anything is fetched.
disk_too_small() {
	local disk=$work/small-disk image=$work/small-disk.img path="/trouble/disk.bin?small"
	mkdir "$disk"
	truncate -s 24M "$image"
	if ! mkfs.ext4 -q -F "$image" || ! mount -o loop "$image" "$disk" 2>/dev/null; then
		echo '      no image can be mounted: the disk that is too small was not tried'
		return
	fi
	trouble_disk=$disk
	run get --cache-dir "$disk/cache" --connections 1 "$http$path"
	check 'disk too small: exit code 6' exited 6
	check 'disk too small: says so' says 'no space'
	check 'disk too small: not all of it is sent' at_most "$(bytes_sent "$path")" $((trouble_size / 2))
	check 'disk too small: nothing is left' nothing_in "$disk/cache"
	check 'disk too small: no partial file is left' no_partial "$disk/cache"
	trouble_cleanup
}

trouble() {
	printf -- '--- trouble midway\n'
	no_ranges
	http2_with_ranges
	local connections
	for connections in 1 4; do
		server_restarts "$connections"
		file_replaced "$connections"
		command_killed "$connections"
	done
	disk_full
	disk_too_small
}
