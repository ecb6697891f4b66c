// Package batch downloads many files with one [dlmanager.DownloadManager].
//
//	m, err := dlmanager.NewDownloadManager(dir)
//	…
//	for o := range batch.Each(ctx, m, batch.Links(urls...)) {
//		fmt.Println(o.Value, o.State, o.Path, o.Err)
//	}
//
// Call [Each] for outcomes as they come, [Swarm] for outcomes in the order of the
// links, [One] for a single one. They take any sequence, also one without an end,
// take no more of it than can be worked on, and never end because of a failure: a
// failure is an [Outcome]. What is there already is not fetched again.
//
// A [Source] is a sequence that can be left and gone on with: a [LinkList] is a
// text with a link on each line, [Pages] is a listing behind a function, and
// [Resumable] keeps their place in a [Store].
//
// A [Job] is a directory that remembers a batch: what is to be fetched, what is
// done, what failed and why. It goes on where it was after any stop, a kill
// included.
//
// # How many at once
//
// The manager decides: [dlmanager.WithMaxConcurrent],
// [dlmanager.WithMaxPerHost], [dlmanager.WithRequestDelay]; a server's Retry-After
// holds off its host alone. When a place is free and all who wait have to wait for
// their hosts, the next link is taken, so that a slow host holds up no other one,
// up to [WithWindow] links in hand. A host that may have all places takes them:
// give WithMaxPerHost less than WithMaxConcurrent.
//
// # What it does not promise
//
// A download that is stopped is stopped for all who wait for it, also those who
// asked the manager for the same name themselves. A job's directory belongs to one
// process at a time; where the file system has no locks, there are no jobs.
package batch
