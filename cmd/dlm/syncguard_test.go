package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPathsThatNoArtifactMayHave(t *testing.T) {
	for path, want := range map[string]string{
		".git": "git's", "a/.git/hooks/b": "git's", ".GIT/a": "git's", ".git. /a": "git's", "GIT~1/a": "git's",
		".git::$INDEX_ALLOCATION/a": "git's", ".g\u200dit/a": "git's", ".dlm-sync/a": "dlm's", ".DLM-Sync": "dlm's",
		"git/a": "", ".github/a": "", ".gitignore": "", "a.git/b": "", "a/.dlm-sync": "", "C:/a": "",
	} {
		require.Equal(t, want, ownerOf(path), path)
	}
}
