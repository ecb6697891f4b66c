package dlmanager

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestFewGoroutinesWaitForTheNextDownload(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(3*mostIdle))
	release := make(chan struct{})
	var all []*Download
	for i := range 3 * mostIdle {
		name := fmt.Sprint("file", i)
		all = append(all, m.Download(o.Serve("/"+name, []byte(name), testorigin.Gate(release)), name))
	}
	close(release)
	for _, d := range all {
		require.NoError(t, d.Wait())
	}
	require.Eventually(t, func() bool { return m.runs.idle.Load() == mostIdle }, time.Minute, time.Millisecond)
	require.NoError(t, m.Download(o.Serve("/next", []byte("next")), "next").Wait())
	require.NoError(t, m.Close())
	require.Zero(t, m.runs.idle.Load())
}

func TestAGoroutineThatACallbackEndsIsReplaced(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(1))
	for i := range 5 {
		name := fmt.Sprint("file", i)
		url := o.Serve("/"+name, []byte(name))
		exit := WithProgress(func(*Download, int64, int64) { runtime.Goexit() })
		require.ErrorIs(t, m.Download(url, name, exit).Wait(), errExited)
		require.NoError(t, m.Download(url, name).Wait())
	}
}
