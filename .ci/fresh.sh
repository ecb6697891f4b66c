# shellcheck shell=bash disable=SC2154 # variables are the including script's
# Whether what is there is still current, asked of a real server. Sourced by
# e2e-nginx.

# fresh_locations prints what nginx needs for it: files with a date and no tag.
fresh_locations() {
	cat <<-'LOCATIONS'
		location /dated/ { alias @ROOT@/; etag off; }
	LOCATIONS
}

# answered CODE PATH prints how often nginx answered a request for the path so.
answered() {
	requests "$2" >/dev/null # waits for the log
	grep -cF "GET $2 HTTP/1.1\" $1 " "$work/nginx/access.log" || true
}

freshness() {
	printf -- '--- freshness\n'
	local cache=$work/cache-fresh path before
	local get=(get --cache-dir "$cache")
	for path in /fresh.bin /dated/fresh.bin; do
		cp "$www/sub/folder/deep.bin" "$www/fresh.bin"
		touch -d '2020-01-01 00:00:00' "$www/fresh.bin"
		run "${get[@]}" "$http$path"
		check "$path: fetched" printed "$cache" "$www/fresh.bin"
		run "${get[@]}" --json --revalidate "$http$path"
		check "$path: --revalidate: exit code 0" exited 0
		check "$path: --revalidate: it is current" quiet jq -e '.origin == "revalidated" and .wireBytes == 0' "$work/out"
		check "$path: nginx answered 304" equal 1 "$(answered 304 "$path")"
		run "${get[@]}" --max-stale 1h "$http$path"
		check "$path: --max-stale 1h: no request" equal 2 "$(($(answered 200 "$path") + $(answered 304 "$path")))"

		cp "$www/one.bin" "$www/fresh.bin"
		touch -d '2020-01-02 00:00:00' "$www/fresh.bin"
		run "${get[@]}" --max-stale 0s "$http$path"
		check "$path: another version: it replaces the file" printed "$cache" "$www/one.bin"
		check "$path: with the body of one answer" equal 2 "$(answered 200 "$path")"
		check "$path: and no other" equal 1 "$(answered 304 "$path")"
	done

	before=$(requests /)
	run "${get[@]}" --offline "$http/fresh.bin" "$http/never.bin"
	check '--offline, one of two not there: exit code 3' exited 3
	check '--offline: the other one is' cmp -s "$(sed -n 1p "$work/out")" "$www/fresh.bin"
	check '--offline: no request' equal "$((before + 1))" "$(requests /)" # requests itself makes one

	stop_nginx
	run "${get[@]}" --attempts 1 --revalidate "$http/fresh.bin"
	check 'no server, --revalidate: exit code 4' exited 4
	run "${get[@]}" --revalidate --stale-if-error "$http/fresh.bin"
	check 'no server, --stale-if-error: exit code 0' exited 0
	check 'no server, --stale-if-error: the old file' printed "$cache" "$www/fresh.bin"
	check 'no server, --stale-if-error: it is said' says 'may be out of date'
	check 'the server is back' restart_nginx
	check 'freshness: no partial file is left' no_partial "$cache"
}
