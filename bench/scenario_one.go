package main

// How the others are called for one file: quiet, and without what only costs
// time here, such as aria2c's allocation of the file beforehand.
const (
	curlArgs  = "-sSf -o PATH URL"
	ariaArgs  = "-q --no-conf --file-allocation=none -d DIR -o NAME URL"
	wgetArgs  = "-q -O PATH URL"
	wget2Args = "-q --no-hsts -O PATH URL"
	axelArgs  = "-q -n 1 -o PATH URL"
)

// oneFile are the scenarios with one large file.
func oneFile() []scenario {
	large := payload{count: 1, size: gib}
	return []scenario{
		{
			name: "plain", about: "One file of 1 GiB, plain HTTP.",
			load: large, server: plainServer,
			contenders: []contender{
				dlmGet("dlm get"),
				tool("curl", "curl", curlArgs),
				tool("aria2c", "aria2c", "-x1 -s1 "+ariaArgs),
				tool("wget", "wget", wgetArgs),
				tool("wget2", "wget2", wget2Args),
				tool("axel", "axel", axelArgs),
				goGetter(false),
				spliceLimit(), discardLimit(),
			},
		},
		{
			name: "tls1", about: "One file of 1 GiB, HTTP/1.1 over TLS.",
			load: large, server: tls1Server,
			contenders: []contender{
				dlmGet("dlm get"),
				tool("curl", "curl", "--cacert CA "+curlArgs),
				tool("aria2c", "aria2c", "--ca-certificate=CA -x1 -s1 "+ariaArgs),
				tool("wget", "wget", "--no-hsts --ca-certificate=CA "+wgetArgs),
				tool("wget2", "wget2", "--ca-certificate=CA "+wget2Args),
				// axel 2.17 takes a certificate for localhost for a stranger's.
				tool("axel -k, which verifies nothing", "axel", "-k "+axelArgs),
				goGetter(true),
			},
		},
		{
			name: "tls2", about: "One file of 1 GiB from a port that offers HTTP/2. aria2c, axel and wget, which do not speak it, are left out.",
			load: large, server: tls2Server,
			contenders: []contender{
				dlmGet("dlm get"),
				tool("curl", "curl", "--http2 --cacert CA "+curlArgs),
				tool("wget2", "wget2", "--ca-certificate=CA "+wget2Args),
				goGetter(true),
			},
		},
		{
			name: "sha256", about: "One file of 1 GiB, plain HTTP, and its SHA-256 compared with a given one.",
			load: large, server: plainServer,
			contenders: []contender{
				checkedDlm(),
				shell("curl, then sha256sum", "curl", `curl -sSf -o "$1" "$2" && echo "$3  $1" | sha256sum -c --status`, "PATH URL SUM"),
				tool("aria2c", "aria2c", "--checksum=sha-256=SUM -x1 -s1 "+ariaArgs),
			},
		},
	}
}

func checkedDlm() contender {
	return contender{
		name: "dlm get --checksum", shown: "dlm get --cache-dir DIR --checksum sha256:SUM URL", ours: true, flag: "--checksum",
		command: func(j *job) (command, error) {
			return dlmGet("", "--checksum", "sha256:"+j.files[0].sum).command(j)
		},
	}
}

// oneFileTrouble are the scenarios with a way that is not the best.
func oneFileTrouble() []scenario {
	return []scenario{
		{
			name: "limited", about: "One file of 256 MiB from a server that gives each connection 20 MiB/s.",
			load: payload{count: 1, size: 256 * mib}, server: limitedServer,
			contenders: []contender{
				dlmGet("dlm get"),
				tool("aria2c", "aria2c", "-x8 -s8 -k1M "+ariaArgs).called("aria2c -x8"),
				tool("axel", "axel", "-q -n 8 -o PATH URL").called("axel -n 8"),
				tool("curl", "curl", curlArgs),
			},
		},
		{
			name: "unthrottled", about: "One file of 8 GiB (zeros, of which the server reads nothing) without any limit: whether more connections cost.",
			load: payload{count: 1, size: 8 * gib, sparse: true}, server: plainServer,
			contenders: []contender{
				dlmGet("dlm get"),
				dlmGet("dlm get --connections 1", "--connections", "1").against().needing("--connections"),
			},
		},
		{
			name: "delayed", about: "One file of 64 MiB over a way of 50 ms in each direction, on which a connection has 256 KiB at most.",
			load: payload{count: 1, size: 64 * mib}, server: delayServer,
			contenders: []contender{
				dlmGet("dlm get"),
				tool("curl", "curl", curlArgs),
				tool("aria2c", "aria2c", "-x8 -s8 -k1M "+ariaArgs).called("aria2c -x8"),
			},
		},
		{
			name: "resets", about: "One file of 64 MiB over a way that resets each connection after 5 MiB.",
			load: payload{count: 1, size: 64 * mib}, server: cuttingServer,
			contenders: []contender{
				dlmGet("dlm get"),
				tool("aria2c", "aria2c", "-x1 -s1 -m0 "+ariaArgs),
				tool("curl", "curl", "--retry 20 --retry-all-errors --retry-delay 1 -C - "+curlArgs).called("curl --retry"),
				shell("curl -C - in a loop", "curl", `for i in $(seq 50); do curl -sf -C - -o "$1" "$2" && exit; done; exit 1`, "PATH URL"),
			},
		},
	}
}
