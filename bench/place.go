package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// place is where all happens: directories, servers and programs.
type place struct {
	config
	work     string // on the tmpfs: programs, data, destinations
	diskWork string // the same on the disk, for destinations alone
	home     string // everybody's home, empty: no settings of the user's
	self     string // this program
	dlm      string
	dlmFlags string // what dlm get --help says
	goGetter string // "" when it was not built
	data     *store
	nginx    *nginx
	proxies  []*proxy
	delaying *proxy
	cutting  *proxy
}

const (
	// proxyDelay each way is a round trip of 100 ms, from one continent to the
	// next.
	proxyDelay = 50 * time.Millisecond
	// proxyWindow is what lies on that way at most: a modest receive window.
	proxyWindow = 256 << 10
	// resetAfter is so little that the longest file here takes a dozen goes.
	resetAfter = 5 << 20
)

// newPlace builds the programs and starts the servers.
func newPlace(ctx context.Context, c config) (p *place, err error) {
	p = &place{config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.self, err = os.Executable(); err != nil {
		return p, err
	}
	if p.work, err = os.MkdirTemp(c.dir, "dlm-bench."); err != nil {
		return p, err
	}
	if p.diskWork, err = os.MkdirTemp(c.disk, "dlm-bench."); err != nil {
		return p, err
	}
	p.home = filepath.Join(p.work, "home")
	www := filepath.Join(p.work, "www")
	for _, dir := range []string{p.home, www} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return p, err
		}
	}
	p.data = newStore(www)
	if err := p.build(ctx); err != nil {
		return p, err
	}
	return p, p.serve(www)
}

// serve starts nginx and the proxies before it.
func (p *place) serve(www string) (err error) {
	if p.nginx, err = startNginx(filepath.Join(p.work, "nginx"), www); err != nil {
		return err
	}
	if p.delaying, err = startProxy(p.nginx.plain, proxyOptions{delay: proxyDelay, window: proxyWindow}); err != nil {
		return err
	}
	p.proxies = append(p.proxies, p.delaying)
	if p.cutting, err = startProxy(p.nginx.plain, proxyOptions{window: proxyWindow, resetAfter: max(8*kib, int64(resetAfter*p.scale))}); err != nil {
		return err
	}
	p.proxies = append(p.proxies, p.cutting)
	return nil
}

// build builds dlm, and the driver of go-getter if it is wanted and can be had:
// it is a module of its own, because it brings the kits of several clouds.
func (p *place) build(ctx context.Context) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/dlmanager/dlmanager").Output()
	if err != nil {
		return fmt.Errorf("run this program in its own folder, bench: %w", err)
	}
	p.dlm = filepath.Join(p.work, "dlm")
	if err := goBuild(ctx, strings.TrimSpace(string(root)), p.dlm, "./cmd/dlm"); err != nil {
		return err
	}
	help, err := exec.CommandContext(ctx, p.dlm, "get", "--help").CombinedOutput()
	if err != nil {
		return fmt.Errorf("dlm get --help: %w", err)
	}
	p.dlmFlags = string(help)
	if slices.Contains(p.without, goGetterName) {
		return nil
	}
	program := filepath.Join(p.work, goGetterName)
	if err := goBuild(ctx, "gogetter", program, "."); err != nil {
		fmt.Fprintln(os.Stderr, "bench: left out:", err)
		return nil
	}
	p.goGetter = program
	return nil
}

func goBuild(ctx context.Context, dir, program, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, pkg)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLine(text))
	}
	return nil
}

// close stops the servers and removes what is on the disks.
func (p *place) close() error {
	var errs []error
	for _, x := range p.proxies {
		errs = append(errs, x.close())
	}
	if p.nginx != nil {
		errs = append(errs, p.nginx.stop())
	}
	for _, dir := range []string{p.work, p.diskWork} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
