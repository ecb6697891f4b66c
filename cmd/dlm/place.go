package main

import (
	"context"
	"io"
	"os"

	"github.com/dlmanager/dlmanager"
)

// place puts the finished file where it is wanted and notes where that is. Should
// another process evict it just before, it is fetched again.
func (g *getCommand) place(ctx context.Context, m *dlmanager.DownloadManager, j *job) error {
	if j.tree != nil {
		return j.placeDir(ctx)
	}
	if j.target == "" {
		j.path = j.download.Dest()
		return nil
	}
	file, err := m.Get(ctx, j.url, j.name)
	if err != nil {
		return err
	}
	if j.target == toStdout {
		return copyOut(ctx, g.ui.out, file)
	}
	defer file.Close() // read-only: nothing to lose
	if g.placing.link {
		err = file.LinkTo(j.target)
	} else {
		err = file.CopyTo(ctx, j.target, g.placing.mode())
	}
	if err == nil {
		j.path = j.target
	}
	return err
}

// copyOut writes the file to w and closes it. When ctx ends it returns although
// the write may hang, as it does while nobody reads the other end of a pipe:
// nothing but the end of the program frees it then.
func copyOut(ctx context.Context, w *os.File, file *dlmanager.File) error {
	copied := make(chan error, 1)
	go func() {
		defer file.Close() // read-only: nothing to lose
		_, err := io.Copy(w, file)
		copied <- err
	}()
	select {
	case err := <-copied:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
