package main

import (
	"context"
	"io"
	"os"
)

// place puts the finished file where it is wanted and notes where that is.
func (g *getCommand) place(ctx context.Context, j *job) error {
	switch j.target {
	case "":
		j.path = j.download.Dest()
		return nil
	case toStdout:
		return copyOut(ctx, g.ui.out, j.download.Dest())
	}
	if err := j.download.CopyTo(ctx, j.target, g.placing.mode()); err != nil {
		return err
	}
	j.path = j.target
	return nil
}

// copyOut writes the file to w. When ctx ends it returns although the write may
// hang, as it does while nobody reads the other end of a pipe: nothing but the
// end of the program frees it then.
func copyOut(ctx context.Context, w *os.File, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
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
