package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenMarksAnEmptyDirectory(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		deep := filepath.Join(path, "a", "b")
		d, err := Open(base, deep, Options{Limited: true, InitialLimit: 12345})
		require.NoError(t, err)
		defer d.Close()
		assert.True(t, d.Marked())
		tag, err := afero.ReadFile(base, filepath.Join(deep, tagFile))
		require.NoError(t, err)
		assert.Contains(t, string(tag), "Signature: 8a477f597d28d172789f06886806bc55\n")

		again, err := Open(base, deep, Options{Limited: true, InitialLimit: 99})
		require.NoError(t, err)
		defer again.Close()
		assert.EqualValues(t, 12345, again.SizeLimit(), "the limit is set by who makes the directory")
	})
}

func TestOpenRefusesSomebodysFilesWhenTheyCouldBeEvicted(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		require.NoError(t, base.MkdirAll(path, 0o777))
		require.NoError(t, afero.WriteFile(base, filepath.Join(path, "thesis.tex"), []byte("x"), 0o666))

		_, err := Open(base, path, Options{Limited: true})
		require.ErrorIs(t, err, ErrNotCacheDir)

		d, err := Open(base, path, Options{})
		require.NoError(t, err, "without a limit nothing is evicted")
		assert.False(t, d.Marked(), "and the directory stays somebody's")
		require.NoError(t, d.Close())
		_, err = Open(base, path, Options{Limited: true})
		require.ErrorIs(t, err, ErrNotCacheDir)

		d, err = Open(base, path, Options{Limited: true, Adopt: true})
		require.NoError(t, err)
		require.NoError(t, d.Close())
		d, err = Open(base, path, Options{Limited: true})
		require.NoError(t, err, "once adopted it is a cache")
		require.NoError(t, d.Close())
	})
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	cases := []struct{ name, file, text, want string }{
		{"newer format", formatFile, formatPrefix + "2\n", "newer program"},
		{"other text", formatFile, "hello\n", "not a mark"},
		{"empty mark", formatFile, "", "not a mark"},
		{"negative", formatFile, formatPrefix + "-1\n", "not a mark"},
		{"torn config", configFile, "{\"sizeL", "mend it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			base := afero.NewMemMapFs()
			d, err := Open(base, "/cache", Options{})
			require.NoError(t, err)
			require.NoError(t, d.Close())
			require.NoError(t, afero.WriteFile(base, "/cache/"+c.file, []byte(c.text), 0o666))
			_, err = Open(base, "/cache", Options{})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestManyOpenTheSameNewDirectoryAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			d, err := Open(afero.NewOsFs(), path, Options{Limited: true, InitialLimit: 1000})
			if !assert.NoError(t, err) {
				return
			}
			p, err := create(d, fmt.Sprint("file", i), 0o666)
			if assert.NoError(t, err) {
				assert.NoError(t, p.Commit(SyncNone))
			}
			assert.NoError(t, d.Close())
		})
	}
	wg.Wait()
}

func TestAFileIsNoDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o666))
	_, err := Open(afero.NewOsFs(), path, Options{})
	require.Error(t, err)
}

func TestLinksNeverLeadOut(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	require.NoError(t, os.WriteFile(victim, []byte("mine"), 0o666))
	before, err := os.Stat(victim)
	require.NoError(t, err)
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	require.NoError(t, os.Symlink(outside, d.Path("out")))
	require.NoError(t, os.Symlink(victim, d.Path("file")))
	relative, err := filepath.Rel(d.Root(), outside)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(relative, d.Path("relative")))

	for _, folder := range []string{"out", "relative"} {
		_, err := create(d, folder+"/new", 0o666)
		require.ErrorContains(t, err, "symbolic link", "a link to a folder is not written through")
		p, err := create(d, "elsewhere/new", 0o666) // and neither is one that appears meanwhile
		require.NoError(t, err)
		require.NoError(t, os.Symlink(outside, d.Path("elsewhere")))
		require.Error(t, p.Commit(SyncFile))
		require.NoError(t, os.Remove(d.Path("elsewhere")))
		require.Error(t, d.Remove(folder+"/victim"))
		_, err = d.Stat(folder + "/victim")
		require.Error(t, err)
		d.Touch(folder+"/victim", Info{}, time.Now().Add(time.Hour))
		_, err = d.Open(folder + "/victim")
		require.Error(t, err)
	}
	_, err = d.Stat("file")
	require.ErrorIs(t, err, os.ErrNotExist, "a link is no finished file")
	land(t, d, "file", "new") // replaces the link, not what it points to
	assert.Equal(t, "new", content(t, d, "file"))
	require.NoError(t, d.Walk(t.Context(), func(name string, _ Info) error {
		assert.Equal(t, "file", name, "links are not walked")
		return nil
	}))

	text, err := os.ReadFile(victim)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
	after, err := os.Stat(victim)
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime())
	names, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Len(t, names, 1, "nothing was made outside")
}

func TestOwnFolderThatIsALinkOutIsRefused(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(path, ownDir)))
	d, err := Open(afero.NewOsFs(), path, Options{})
	if err == nil {
		_, err = create(d, "file", 0o666)
		require.NoError(t, d.Close())
	}
	require.Error(t, err)
	names, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, names)
}

func TestStatTellsDirectoriesAndOddFilesFromFinishedOnes(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "folder/file", "12345")
		info, err := d.Stat("folder/file")
		require.NoError(t, err)
		assert.EqualValues(t, 5, info.Size)
		_, err = d.Stat("folder")
		require.ErrorContains(t, err, "a directory is in its place")
		require.NotErrorIs(t, err, os.ErrNotExist)
		_, err = d.Stat("nothing")
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestTouchSetsTheLastUseAndKeepsTheModificationTime(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "file", "x")
		info, err := d.Stat("file")
		require.NoError(t, err)

		d.Touch("file", info, info.LastUse.Add(touchAge/2))
		same, err := d.Stat("file")
		require.NoError(t, err)
		assert.Equal(t, info.LastUse, same.LastUse, "a use just before is not renewed")

		later := info.LastUse.Add(time.Hour)
		d.Touch("file", info, later)
		used, err := d.Stat("file")
		require.NoError(t, err)
		assert.WithinDuration(t, later, used.LastUse, time.Second)
		if _, memory := base.(*afero.MemMapFs); !memory {
			assert.Equal(t, info.ModTime, used.ModTime)
		}

		earlier := later.Add(-30 * time.Minute) // the clock was set back
		d.Touch("file", used, earlier)
		back, err := d.Stat("file")
		require.NoError(t, err)
		assert.True(t, back.LastUse.Before(later))
	})
}

func TestTouchOfAFileThatMayNotBeTouchedIsNoError(t *testing.T) {
	d := openDir(t, afero.NewReadOnlyFs(populated(t)), "/cache")
	info, err := d.Stat("file")
	require.NoError(t, err)
	d.Touch("file", info, time.Now().Add(time.Hour))
	assert.Equal(t, "x", content(t, d, "file"))
}

// populated returns a file system with a cache directory that has one file.
func populated(t *testing.T) afero.Fs {
	base := afero.NewMemMapFs()
	d, err := Open(base, "/cache", Options{})
	require.NoError(t, err)
	land(t, d, "file", "x")
	require.NoError(t, d.Close())
	return base
}

func TestMakeExecutable(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permission bits mean nothing on Windows")
	}
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "tool", "x")
	require.NoError(t, os.Chmod(d.Path("tool"), 0o640))
	info, err := d.Stat("tool")
	require.NoError(t, err)
	require.NoError(t, d.MakeExecutable("tool", info))
	info, err = d.Stat("tool")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o750), info.Mode.Perm())
}

func TestWalkSeesFinishedFilesOnly(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "a", "1")
		land(t, d, "sub/b", "22")
		p, err := create(d, "c", 0o666)
		require.NoError(t, err)
		defer p.Cancel()
		require.NoError(t, afero.WriteFile(d.fsys, ".tool."+key("tool")+".part", []byte("x"), 0o666))
		sizes := map[string]int64{}
		require.NoError(t, d.Walk(t.Context(), func(name string, info Info) error {
			sizes[name] = info.Size
			return nil
		}))
		assert.Equal(t, map[string]int64{"a": 1, "sub/b": 2}, sizes)

		stop := errors.New("enough")
		require.ErrorIs(t, d.Walk(t.Context(), func(string, Info) error { return stop }), stop)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, d.Walk(ctx, func(string, Info) error { return nil }), context.Canceled)
	})
}

func TestTwinsAreFound(t *testing.T) {
	cases := []struct{ there, asked string }{
		{"Tool", "tool"},
		{"tool", "TOOL"},
		{"caf\u00e9", "cafe\u0301"},
		{"Sub/file", "sub/file"},
		{"sub/file", "SUB/FILE"},
	}
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		for i, c := range cases {
			for _, late := range []bool{false, true} {
				d := openDir(t, base, filepath.Join(path, fmt.Sprint(i, late)))
				if late { // the folder is listed before the file lands
					_, found, err := d.Twin(t.Context(), c.asked)
					require.NoError(t, err)
					require.False(t, found)
				}
				land(t, d, c.there, "x")
				require.NoError(t, d.Record(Entry{Name: c.there}))
				twin, found, err := d.Twin(t.Context(), c.asked)
				require.NoError(t, err)
				require.True(t, found, "%q against %q", c.asked, c.there)
				assert.Equal(t, c.there, twin)
				_, found, err = d.Twin(t.Context(), c.there)
				require.NoError(t, err)
				assert.False(t, found, "a name is not its own twin")
				require.NoError(t, d.Remove(c.there))
				_, found, err = d.Twin(t.Context(), c.asked)
				require.NoError(t, err)
				assert.False(t, found, "what is gone is no twin")
			}
		}
	})
}

// What is known of the folders on the way to a file holds as long as they are there.
func TestTwinsAreFoundWhenAFolderHasGone(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		there := func(name string) {
			t.Helper()
			land(t, d, name, "x")
			require.NoError(t, d.Record(Entry{Name: name}))
		}
		requireTwin := func(want, name string) {
			t.Helper()
			twin, _, err := d.Twin(t.Context(), name)
			require.NoError(t, err)
			require.Equal(t, want, twin)
		}
		there("A/B/first")
		there("A/B/other")
		for range 2 {
			requireTwin("", "A/B/new")
			requireTwin("A/B/first", "A/B/FIRST")
		}
		require.NoError(t, d.Remove("A/B/first"))
		require.NoError(t, d.Remove("A/B/other"))
		d.removeEmpty("A/B")
		d.removeEmpty("A")
		there("a/B/new")
		requireTwin("a/B/new", "A/B/new")
		requireTwin("", "a/B/new")
	})
}

// A folder that could not be listed may have gone when it is asked for the next time.
func TestTwinsAreFoundWhenAFolderCouldNotBeListed(t *testing.T) {
	eachFs(t, func(t *testing.T, base afero.Fs, path string) {
		d := openDir(t, base, path)
		land(t, d, "A/B/first", "x")
		twin, _, err := d.Twin(t.Context(), "A/new")
		require.NoError(t, err)
		require.Empty(t, twin)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err = d.Twin(ctx, "A/B/new")
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, d.fsys.Rename("A/B", "A/b")) // by another process
		land(t, d, "A/b/new", "x")
		twin, _, err = d.Twin(t.Context(), "A/B/new")
		require.NoError(t, err)
		require.Equal(t, "A/b/new", twin)
	})
}
