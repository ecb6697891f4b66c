package batch

import "github.com/dlmanager/dlmanager"

// Naming makes the name of a link that has none. The name has to depend on the URL
// alone, so that a file is found again, and different URLs need different names. A
// name that would lead out of the cache is refused by the manager. It is called
// from several goroutines at once.
type Naming func(url string) (name string, err error)

// Tree names files host/path, as [dlmanager.TreeName]. It is the default.
func Tree(url string) (string, error) { return dlmanager.TreeName(url) }

// Flat names files without folders, by the end of the path and a hash of the URL,
// as [dlmanager.HashedName].
func Flat(url string) (string, error) { return dlmanager.HashedName(url) }
