package main

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/unpack"
)

// syncItem is an artifact for one platform, and what becomes of it.
type syncItem struct {
	from *artifact
	*job
	rel      string // destination, with slashes, relative to the manifest; "": it stays in the cache
	checksum string // as the library takes it; "": none
	wanted   string // names all that the destination's content depends on
	digest   string // hexadecimal SHA-256 that it, or its archive, has to have; "": not known yet
	pinned   bool   // the digest says all about the content

	standing standing
	cached   bool // the cache has what is wanted
	unlocked bool // the lock file does not have its URL
	added    bool // somebody has put more into the folder
}

// items returns what is wanted of the manifest on the platform: the artifacts that
// have the names, all if there are none.
func (m *manifest) items(names []string, p platform) ([]*syncItem, error) {
	chosen, err := m.choose(names)
	if err != nil {
		return nil, err
	}
	var items []*syncItem
	var problems usageErrors
	for _, a := range chosen {
		it, err := m.item(a, p)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		items = append(items, it)
	}
	problems = append(problems, checkSyncTargets(items)...)
	if len(problems) > 0 {
		return nil, inOrder(problems)
	}
	return items, nil
}

func (m *manifest) choose(names []string) ([]*artifact, error) {
	if len(names) == 0 {
		return m.artifacts, nil
	}
	byName := map[string]*artifact{}
	var known []string
	for _, a := range m.artifacts {
		byName[a.name] = a
		known = append(known, a.name)
	}
	var chosen []*artifact
	var problems usageErrors
	for _, name := range names {
		a, ok := byName[name]
		switch {
		case !ok:
			hint := "there are " + strings.Join(known, ", ")
			if near := nearest(name, known); near != "" {
				hint = "did you mean " + near + "?"
			}
			problems = append(problems, &usageError{m.file + " has no artifact " + name, hint})
		case a != nil:
			chosen = append(chosen, a)
			byName[name] = nil // once is enough
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return chosen, nil
}

// item fills in the artifact's templates, and checks what that makes of them.
func (m *manifest) item(a *artifact, p platform) (*syncItem, error) {
	it := &syncItem{from: a, job: &job{label: a.name, about: a.about()}}
	url, err := a.expandURL("url", a.url, p)
	if err != nil {
		return nil, err
	}
	it.url = url
	if it.name, err = dlmanager.TreeName(url); err != nil {
		return nil, err
	}
	if a.unpack {
		it.tree = &tree{Options: unpack.Options{Strip: a.strip}, name: treeName(it.name, a.strip)}
	}
	var mirrors []string
	for _, mirror := range a.mirrors {
		url, err := a.expandURL("mirrors", mirror, p)
		if err != nil {
			return nil, err
		}
		mirrors = append(mirrors, url)
	}
	if it.checksum, err = m.checksumOf(a, p); err != nil {
		return nil, err
	}
	if it.rel, err = m.destination(a, p, url); err != nil {
		return nil, err
	}
	if it.rel != "" {
		it.target = filepath.Join(m.dir, filepath.FromSlash(it.rel))
	}
	if digits, ok := strings.CutPrefix(it.checksum, "sha256:"); ok {
		it.digest, it.pinned = strings.ToLower(digits), it.tree == nil
	}
	it.wanted = it.identity()
	it.opts = it.options(mirrors)
	return it, nil
}

// about is what messages about the artifact begin with.
func (a *artifact) about() string {
	return strings.TrimSuffix(a.table.problem("", "%s", a.name).text, ": ")
}

func (a *artifact) expandURL(key, text string, p platform) (string, error) {
	url, err := a.expand(key, text, p)
	if err != nil {
		return "", err
	}
	if err := dlmanager.CheckURL(url); err != nil {
		bad := urlProblem(url, err)
		return "", a.table.in(key).problem(bad.hint, "%s: %s", key, bad.text)
	}
	return url, nil
}

// checksumOf returns the artifact's checksum on the platform.
func (m *manifest) checksumOf(a *artifact, p platform) (string, error) {
	at, text := a.table.in("checksum"), a.checksum
	if a.checksums != nil {
		at, text = at.in(p.String()), a.checksums[p.String()]
		if text == "" {
			return "", at.problem(`add "`+p.String()+`" = "sha256:…" to its table`, "%s has no checksum for %s", a.name, p)
		}
	}
	if text == "" {
		return "", nil
	}
	text, err := a.expand("checksum", text, p)
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(text)
	isFile, err := dlmanager.IsChecksumFile(text)
	if err != nil {
		return "", at.problem("write sha256: and 64 hexadecimal digits, or the path or URL of a checksum file", "checksum: %v", err)
	}
	if isFile && !strings.Contains(text, "://") && !filepath.IsAbs(text) {
		text = filepath.Join(m.dir, text)
	}
	return text, nil
}

// destination returns where the artifact goes, relative to the manifest. It is
// inside the manifest's folder: a manifest that came with somebody's project
// replaces no file elsewhere.
func (m *manifest) destination(a *artifact, p platform, url string) (string, error) {
	if a.to == "" {
		return "", nil
	}
	to, err := a.expand("to", a.to, p)
	if err != nil {
		return "", err
	}
	at := a.table.in("to")
	if strings.Contains(to, `\`) {
		return "", at.problem("write / between folders, on every system", `to: %s has a \ in it`, to)
	}
	if strings.HasSuffix(to, "/") && !a.unpack {
		base, err := dlmanager.FlatName(url)
		if err != nil {
			return "", at.problem("the URL gives no file name: to = \""+to+"NAME\" does", "to: %v", err)
		}
		to += base
	}
	rel := path.Clean(to)
	first, _, _ := strings.Cut(rel, "/")
	switch {
	case rel == "." || path.IsAbs(rel) || !filepath.IsLocal(filepath.FromSlash(rel)):
		return "", at.problem(`write a path below the manifest's folder, such as to = "bin/`+a.name+`"`, "to: %q is not inside the manifest's folder", to)
	case foldPath(first) == syncFolder || rel == filepath.Base(m.file):
		return "", at.problem("take another destination", "to: %s is dlm's own", rel)
	}
	return rel, nil
}

// checkSyncTargets refuses two artifacts for one place, and one below another.
func checkSyncTargets(items []*syncItem) usageErrors {
	taken := map[string]*syncItem{}
	for _, it := range items {
		if it.rel != "" && taken[foldPath(it.rel)] == nil {
			taken[foldPath(it.rel)] = it
		}
	}
	var problems usageErrors
	for _, it := range items {
		for dir := it.rel; dir != "" && dir != "."; dir = path.Dir(dir) {
			if other := taken[foldPath(dir)]; other != nil && other != it {
				problems = append(problems, it.from.table.in("to").problem("give one of them another destination",
					"%s would go to %s, where %s goes (line %d)", it.from.name, it.rel, other.from.name, other.from.table.in("to").line()))
				break
			}
		}
	}
	return problems
}
