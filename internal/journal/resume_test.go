package journal

import (
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResumeGoesOnBehindTheRecordOfTheMark(t *testing.T) {
	fsys := afero.NewBasePathFs(afero.NewOsFs(), t.TempDir())
	write := func(payloads ...string) {
		t.Helper()
		var b []byte
		for _, p := range payloads {
			var err error
			b, err = AppendRecord(b, []byte(p))
			require.NoError(t, err)
		}
		require.NoError(t, afero.WriteFile(fsys, "journal", b, 0o666))
	}
	read := func(r *Reader) (got []string) {
		t.Helper()
		require.NoError(t, r.Follow(t.Context(), func() {}, func(p []byte, _ int64) { got = append(got, string(p)) }))
		return got
	}
	write("one", "two")
	first := NewReader(fsys, "journal")
	_, err := first.Mark()
	require.ErrorIs(t, err, ErrNoRecord, "nothing was read")
	read(first)
	mark, err := first.Mark()
	require.NoError(t, err)
	assert.False(t, first.Resume(mark), "it has read already")
	require.NoError(t, first.Close())

	for name, test := range map[string]struct {
		there []string
		want  []string // nil: the mark is of another journal
	}{
		"nothing came":                {[]string{"one", "two"}, []string{}},
		"one came":                    {[]string{"one", "two", "three"}, []string{"three"}},
		"another of the same length":  {[]string{"one", "2nd", "three"}, nil},
		"a longer one":                {[]string{"one", "second", "three"}, nil},
		"it lies elsewhere":           {[]string{"zero", "one", "two", "three"}, nil},
		"it was cut off":              {[]string{"one"}, nil},
		"nothing is left of all that": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			write(test.there...)
			r := NewReader(fsys, "journal")
			defer r.Close()
			resumed := r.Resume(mark)
			assert.Equal(t, test.want != nil, resumed)
			if resumed {
				assert.ElementsMatch(t, test.want, read(r))
			} else {
				assert.Equal(t, test.there, read(r), "all of it is read")
			}
		})
	}
}
