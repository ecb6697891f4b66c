package main

import "fmt"

const ariaMany = "-q --no-conf --file-allocation=none -j16 -x1 -s1 -i LIST -d DIR"

// manyFiles are the scenarios with many files, and with files that are there.
func manyFiles() []scenario {
	small := payload{count: 10_000, size: 4 * kib}
	return []scenario{
		{
			name: "small", about: "10,000 files of 4 KiB, plain HTTP, 16 at once, nothing flushed.",
			load: small, server: plainServer, contenders: manyContenders(),
		},
		{
			name: "batch", about: "10,000 files of 4 KiB from a list, plain HTTP, 16 at once, nothing flushed; the job is written down.",
			load: small, server: plainServer,
			contenders: []contender{
				dlmBatch("dlm batch", "-j", "16", "--sync", "none"),
				dlmBatch("dlm batch --per-host 0", "-j", "16", "--per-host", "0", "--sync", "none").against(),
				tool("curl -Z", "curl", "-sSf -Z --parallel-max 16 -K LIST").listing(curlLines),
				driver("*limit: the same system calls*", "bare DIR LIST").listing(urlLine),
			},
		},
		{
			name: "batchagain", about: "The same list once more: all is there.",
			load: small, server: plainServer,
			contenders: []contender{afterBatch(dlmBatch("dlm batch", "-j", "16", "--sync", "none"))},
		},
		{
			name: "medium", about: "1,000 files of 1 MiB, plain HTTP, 16 at once, nothing flushed.",
			load: payload{count: 1000, size: mib}, server: plainServer, contenders: manyContenders(),
		},
		{
			name: "smallsync", about: "10,000 files of 4 KiB to a disk, 16 at once. The library flushes each one; aria2c does not.",
			load: small, onDisk: true, server: plainServer,
			contenders: []contender{
				library("library, SyncFile", "file"),
				library("library, SyncNone", "none").against(),
				tool("aria2c", "aria2c", ariaMany).listing(urlLine),
			},
		},
		{
			name: "hits", about: "10,000 files of 4 KiB that are there: a program starts, opens the directory and asks for each.",
			load: small, server: plainServer,
			contenders: []contender{
				afterFetching(library("library", "none")),
				afterFetching(driver("*limit: stat of each*", "stat DIR LIST").listing(urlLine)),
			},
		},
		{
			name: "hit", about: "One file of 4 KiB that is there: a command starts and prints its path.",
			load: payload{count: 1, size: 4 * kib}, server: plainServer,
			contenders: []contender{
				afterGet(dlmGet("dlm get")),
				afterGet(driver("*limit: a program that does nothing*", "nothing")),
			},
		},
	}
}

func manyContenders() []contender {
	return []contender{
		library("library, SyncNone", "none"),
		dlmGet("dlm get -j 16 --sync none", "-j", "16", "--sync", "none").against(),
		tool("curl -Z", "curl", "-sSf -Z --parallel-max 16 -K LIST").listing(curlLines),
		tool("aria2c -j16", "aria2c", ariaMany).listing(urlLine),
		tool("wget2", "wget2", "-q --no-hsts --max-threads=16 -i LIST -P DIR").listing(urlLine),
	}
}

// library is a program of 16 workers that uses the library.
func library(name, sync string) contender {
	c := driver(name, fmt.Sprintf("library -parallel 16 -sync %s -dir DIR -list LIST", sync)).listing(urlLine)
	c.ours = true
	return c
}

// afterFetching has all files fetched before, which is not measured.
func afterFetching(c contender) contender {
	c.before = library("", "none").command
	return c
}

// afterBatch has all files fetched by dlm batch before.
func afterBatch(c contender) contender {
	c.before = dlmBatch("", "-j", "16", "--sync", "none").command
	return c
}

// afterGet is the same with the command.
func afterGet(c contender) contender {
	c.before = dlmGet("").command
	return c
}
