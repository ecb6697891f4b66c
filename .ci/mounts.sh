# Sourced by e2e-nginx: that files go in the order of their use however the file
# system keeps access times, copies that share blocks, full disks, and caches that may only be read. All of it needs to
# be root. It uses what that script has: $work, $www, $dlm, check, run and the rest.
# shellcheck shell=bash disable=SC2154

mounts_here=()

# mount_here DIR ARG… mounts with mount(8) on DIR, which is made.
mount_here() {
	local dir=$1
	shift
	mkdir -p "$dir"
	mount "$@" "$dir" 2>/dev/null && mounts_here+=("$dir")
}

# mounts_cleanup takes away what is mounted. It may be called twice.
mounts_cleanup() {
	local i
	for ((i = ${#mounts_here[@]} - 1; i >= 0; i--)); do
		umount "${mounts_here[i]}" || umount -l "${mounts_here[i]}" || true
	done
	mounts_here=()
}

# mount_kind KIND OPTION DIR mounts a new file system.
mount_kind() {
	case $1 in
	tmpfs) mount_here "$3" -t tmpfs -o "size=16m,$2" tmpfs ;;
	btrfs)
		truncate -s 256M "$3.img" && PATH=$PATH:/usr/sbin:/sbin mkfs.btrfs -q "$3.img" >/dev/null 2>&1 &&
			mount_here "$3" -o "loop,$2" "$3.img"
		;;
	ext4)
		truncate -s 32M "$3.img" && PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q "$3.img" 2>/dev/null &&
			mount_here "$3" -o "loop,$2" "$3.img"
		;;
	esac
}

# kept CACHE NUMBER… : these small files are there, and no others.
kept() {
	local cache=$1
	shift
	equal "$(printf '%s.bin ' "$@")" "$(finished "$cache" | xargs -r -n 1 basename | sort | tr '\n' ' ')"
}

# order_of_use KIND OPTION
order_of_use() {
	local kind=$1 option=$2 dir=$work/mount-$1-$2 i
	if ! mount_kind "$kind" "$option" "$dir"; then
		echo "      no $kind can be mounted with $option: not tried"
		return
	fi
	local cache=$dir/cache
	# Seven files of 4 KiB fit.
	local get=(get --cache-dir "$cache" --size-limit 30000 --keep 1 --grace 0)
	for i in 001 002 003 004 005 006; do
		run "${get[@]}" "$http/small/$i.bin"
		touch -d "2020-01-${i#0}" "$(cat "$work/out")" # both times, the first one the oldest
	done
	run "${get[@]}" "$http/small/001.bin"
	run "${get[@]}" "$http/small/003.bin"
	for i in 007 008 009 010; do
		run "${get[@]}" "$http/small/$i.bin"
	done
	check "$kind, $option: what was hit stays" kept "$cache" 001 003 006 007 008 009 010
	for i in 011 012; do
		run "${get[@]}" "$http/small/$i.bin"
	done
	check "$kind, $option: then it goes in the order of the hits" kept "$cache" 003 007 008 009 010 011 012
}

# used_kib DIR prints what the file system holds.
used_kib() {
	sync -f "$1"
	df -k --output=used "$1" | tail -n 1
}

# shared_blocks tries a copy where files can share blocks.
shared_blocks() {
	local dir=$work/mount-btrfs before
	if ! mount_kind btrfs noatime "$dir"; then
		echo '      no btrfs can be made and mounted: copies that share blocks were not tried'
		return
	fi
	run get --cache-dir "$dir/cache" "$http/big.bin"
	before=$(used_kib "$dir")
	run get --cache-dir "$dir/cache" -o "$dir/copy" "$http/big.bin"
	check 'btrfs: a copy has the content' printed "$dir" "$www/big.bin"
	check 'btrfs: and takes no space' at_most "$(used_kib "$dir")" $((before + 4096))
}

# may_only_read WHAT CACHE COMMAND… : a cache with tool in it, in which COMMAND,
# which runs dlm, may change nothing.
may_only_read() {
	local what=$1 cache=$2 before
	shift 2
	before=$(requests /tool)
	status=0
	"$@" get -q -x --cache-dir "$cache" "$http/tool" >"$work/out" 2>"$work/err" </dev/null || status=$?
	check "$what: a hit: exit code 0" exited 0
	check "$what: a hit: path and content" printed "$cache" "$www/tool"
	check "$what: a hit: no word" empty "$work/err"
	"$@" exec -q --cache-dir "$cache" "$http/tool" -- version >"$work/out" 2>"$work/err" </dev/null || status=$?
	check "$what: dlm exec: exit code 0" exited 0
	check "$what: dlm exec: the program's output" quiet grep '^dlm ' "$work/out"
	check "$what: nothing was fetched" equal "$before" "$(requests /tool)"
	"$@" get -q --cache-dir "$cache" "$http/one.bin" >"$work/out" 2>"$work/err" </dev/null || status=$?
	check "$what: a miss: exit code 6" exited 6
}

# full_disk lets a batch run into the end of a disk, and go on when there is more.
full_disk() {
	local dir=$work/mount-full list=$work/full.txt before i
	if ! mount_here "$dir" -t tmpfs -o size=4m tmpfs; then
		echo '      no tmpfs can be mounted: a full disk was not tried'
		return
	fi
	for i in $(seq -w 200); do
		[ "$i" != 020 ] || printf '%s\n' "$http/limit/01.bin"
		printf '%s\n' "$http/small/$i.bin"
	done >"$list"
	run batch --cache-dir "$dir/cache" -o "$work/full-copies" -j 2 --report "$work/full.jsonl" "$list"
	check 'full disk, batch: exit code 6' exited 6
	check 'full disk, batch: what to do' says 'hint: there is no space left in'
	check 'full disk, batch: it goes on' says 'left: the same command goes on'
	jq -r 'select(.origin == "fetched") | .url' "$work/full.jsonl" | sed "s|^$http||" >"$work/full-done" || true
	check 'full disk, batch: what came before is there' at_most 15 "$(wc -l <"$work/full-done")"
	requests / >/dev/null # waits for the log
	before=$(wc -l <"$work/nginx/access.log")
	mount -o remount,size=64m "$dir"
	run batch --cache-dir "$dir/cache" -o "$work/full-copies" -j 2 --retry-failed "$list"
	check 'full disk, batch: with more space, all is there' exited 0
	check 'full disk, batch: all copies' equal 201 "$(find "$work/full-copies" -name '*.bin' | wc -l)"
	requests / >/dev/null
	check 'full disk, batch: nothing that was done was asked for again' equal '' "$(
		tail -n "+$((before + 1))" "$work/nginx/access.log" | awk '{ print $7 }' | grep -xF -f "$work/full-done"
	)"
}

mounts() {
	printf -- '--- mounts and permissions\n'
	if [ "$(id -u)" != 0 ]; then
		echo '      not root: not tried'
		return
	fi
	local kind option cache=$work/cache-others
	for kind in tmpfs ext4; do
		for option in relatime noatime strictatime; do
			order_of_use "$kind" "$option"
		done
	done
	shared_blocks
	full_disk
	run get -x --cache-dir "$cache" "$http/tool"
	if mount_here "$work/mount-readonly" --bind "$cache" && mount -o remount,bind,ro "$work/mount-readonly"; then
		may_only_read 'read-only mount' "$work/mount-readonly" "$dlm"
	else
		echo '      no read-only mount: not tried'
	fi
	chmod 755 "$work" "$work/bin"
	may_only_read "another user's cache" "$cache" setpriv --reuid=65534 --regid=65534 --clear-groups "$dlm"
	mounts_cleanup
}
