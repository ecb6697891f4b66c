// Importrule checks the rules about who may know whom that no compiler checks:
//
//   - imports run one way: cmd -> batch, unpack -> root -> fs, internal/*;
//   - cmd, examples and the module e2e import neither fs nor internal/*, which proves
//     that the public API is enough (the tests of the first two may use the test
//     servers and file systems);
//   - test tooling is imported by tests only;
//   - download*.go does not name DownloadManager, and the files of PersistLimit
//     name neither Download nor DownloadManager.
//
// It reads every .go file whatever its build constraints, so that what is
// built for another system is checked too. Run it at the module's root:
//
//	go run ./.ci/importrule
package main

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// testOnly are the packages of this module that only tests may import.
var testOnly = map[string]bool{
	"internal/testorigin": true,
	"internal/faultfs":    true,
}

// publicTests is the folder of the module that tests the public API.
const publicTests = "e2e"

// testTools are import prefixes from outside that only tests may import.
var testTools = []string{
	"testing",
	"github.com/stretchr/testify",
	"github.com/rogpeppe/go-internal",
	"go.uber.org/goleak",
}

// nameRules lists identifiers that files of the root must not contain. A
// comment may: it is for the reader, and couples nothing.
var nameRules = []struct {
	pattern string
	names   []string
}{
	{"download*.go", []string{"DownloadManager", "NewDownloadManager"}},
	{"persist*.go", []string{"Download", "NewDownload", "DownloadManager", "NewDownloadManager"}},
}

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	files, violations, err := check(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "importrule:", err)
		os.Exit(2)
	}
	for _, v := range violations {
		fmt.Println(v)
	}
	fmt.Printf("%d files read, %d violations\n", files, len(violations))
	if len(violations) > 0 {
		os.Exit(1)
	}
}

// check reads all Go files below root and returns how many there are and what
// is wrong with them.
func check(root string) (files int, violations []string, err error) {
	module, err := modulePath(filepath.Join(root, "go.mod"))
	if err != nil {
		return 0, nil, err
	}
	err = filepath.WalkDir(root, func(file string, d iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && outside(file, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		files++
		found, err := checkFile(module, file, rel)
		violations = append(violations, found...)
		return err
	})
	if err == nil && files == 0 {
		err = errors.New("no Go file found")
	}
	return files, violations, err
}

// outside says whether the go command leaves a directory out of ./..., other than
// the module that tests the public API.
func outside(dir, name string) bool {
	if name == publicTests {
		return false
	}
	if name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// checkFile returns the violations of one file; rel is its slash-separated
// path from the module's root.
func checkFile(module, file, rel string) ([]string, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []string
	report := func(pos token.Pos, format string, args ...any) {
		found = append(found, fmt.Sprintf("%s:%d: %s", rel, set.Position(pos).Line, fmt.Sprintf(format, args...)))
	}
	test := strings.HasSuffix(rel, "_test.go")
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if why := forbidden(module, path.Dir(rel), imported, test); why != "" {
			report(spec.Pos(), "imports %s: %s", imported, why)
		}
	}
	if !test && path.Dir(rel) == "." {
		checkNames(f, rel, report)
	}
	return found, nil
}

// forbidden returns why a file in the folder from must not import a package,
// or "".
func forbidden(module, from, imported string, test bool) string {
	to, ours := relative(module, imported)
	if !ours {
		if !test && !testOnly[from] && isTestTool(imported) {
			return "only tests may"
		}
		return ""
	}
	if testOnly[to] {
		if (test || testOnly[from]) && from != publicTests {
			return ""
		}
		return "only tests of this module may"
	}
	if layer(from) == layerCommand && layer(to) == layerBottom {
		return "the command, the examples and e2e use the public API only"
	}
	if layer(to) > layer(from) {
		return "imports run cmd -> batch, unpack -> root -> fs, internal"
	}
	if layer(to) == layerBeside && first(to) != first(from) && layer(from) == layerBeside {
		return "batch and unpack do not need each other"
	}
	return ""
}

// relative returns the folder of an imported package of this module.
func relative(module, imported string) (folder string, ours bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func isTestTool(imported string) bool {
	for _, tool := range testTools {
		if imported == tool || strings.HasPrefix(imported, tool+"/") {
			return true
		}
	}
	return false
}

// The layers, from the bottom up: a package imports its own layer and those
// below it.
const (
	layerBottom = iota // fs, internal/*
	layerRoot
	layerBeside // batch, unpack
	layerCommand
)

func layer(folder string) int {
	switch first(folder) {
	case ".":
		return layerRoot
	case "batch", "unpack":
		return layerBeside
	case "cmd", "examples", publicTests:
		return layerCommand
	default:
		return layerBottom
	}
}

// first returns the first part of a folder.
func first(folder string) string {
	part, _, _ := strings.Cut(folder, "/")
	return part
}

// checkNames reports the identifiers that a file of the root must not contain.
func checkNames(f *ast.File, name string, report func(token.Pos, string, ...any)) {
	for _, rule := range nameRules {
		if ok, _ := path.Match(rule.pattern, name); !ok {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			for _, forbidden := range rule.names {
				if id.Name == forbidden {
					report(id.Pos(), "names %s, which %s must not know", id.Name, rule.pattern)
				}
			}
			return true
		})
	}
}

// modulePath returns the path on go.mod's module line.
func modulePath(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.Trim(strings.TrimSpace(rest), `"`), nil
		}
	}
	return "", errors.Join(fmt.Errorf("%s: no module line", file), lines.Err())
}
