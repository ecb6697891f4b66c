package batch

import (
	"path"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// The loop may have to stop because of a failure: others would begin meanwhile.
func TestAFailureWaitsForNoOtherOutcome(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		c := newCollector[string](ordered, &config{window: 10})
		first := c.take(3)
		c.finish(first, true, "failed")
		assert.False(t, c.armed, "it waits for others")
		assert.Equal(t, []string{"failed"}, c.pop())
		c.finish(first+1, false, "there")
		assert.True(t, c.armed, "it wakes the loop by itself")
		c.finish(first+2, true, "failed, too")
		assert.Equal(t, []string{"there", "failed, too"}, c.pop())
	}
}

func TestOnlyWhatFailedIsUrgent(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	for url, failed := range map[string]bool{o.Serve("/file", []byte("content")): false, o.URL("/missing"): true} {
		d := m.Download(url, path.Base(url))
		_ = d.Wait() // the next lines ask for it
		assert.Equal(t, failed, (&ended[int]{download: d}).failed(), url)
		assert.Equal(t, failed, (&ended[int]{outcome: &Outcome[int]{Err: d.Err()}}).failed(), url)
	}
}
