package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// limitRate is what nginx gives one connection on the limited port, in MiB/s.
const limitRate = 20

// nginx is a server of our own, on free ports of the loopback interface.
type nginx struct {
	plain, tls1, tls2, limited string // host:port
	ca                         string // file with the authority that signed it
	cmd                        *exec.Cmd
	waited                     chan struct{} // closed when the process is gone
}

// One worker: with as many cores as this is likely to run on, a second one
// would compete with who is measured.
var nginxConf = template.Must(template.New("").Parse(`
{{if .Root}}user root;{{end}}
daemon off;
worker_processes 1;
pid {{.Dir}}/pid;
error_log {{.Dir}}/error.log;
events { worker_connections 1024; }
http {
	access_log off;
	default_type application/octet-stream;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	root {{.WWW}};
	ssl_certificate {{.Dir}}/server.pem;
	ssl_certificate_key {{.Dir}}/server.key;
	server {
		listen {{.N.Plain}};
		location = /up { alias {{.Dir}}/pid; }
	}
	server { listen {{.N.TLS1}} ssl; }
	server { listen {{.N.TLS2}} ssl http2; }
	server { listen {{.N.Limited}}; limit_rate {{.Rate}}m; }
}
`))

// startNginx serves the folder www. Somebody else may take a port between the
// choice and the start, therefore it is tried several times.
func startNginx(dir, www string) (*nginx, error) {
	program, err := findNginx()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	n := &nginx{ca: filepath.Join(dir, "ca.pem")}
	if err := writeCertificates(dir); err != nil {
		return nil, err
	}
	for range 5 {
		if err = n.try(program, dir, www); err == nil {
			return n, nil
		}
	}
	said, _ := os.ReadFile(filepath.Join(dir, "error.log"))
	return nil, fmt.Errorf("nginx did not come up: %w: %s", err, lastLine(said))
}

func findNginx() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", errors.New("nginx is missing: " + aptLine)
}

func (n *nginx) try(program, dir, www string) error {
	if err := freePorts(&n.plain, &n.tls1, &n.tls2, &n.limited); err != nil {
		return err
	}
	var conf bytes.Buffer
	err := nginxConf.Execute(&conf, map[string]any{
		"Root": os.Getuid() == 0, "Dir": dir, "WWW": www, "Rate": limitRate,
		"N": map[string]string{"Plain": n.plain, "TLS1": n.tls1, "TLS2": n.tls2, "Limited": n.limited},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, conf.Bytes(), 0o644); err != nil {
		return err
	}
	n.cmd = exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file)
	// In a group of its own, so that a Ctrl-C meant for us does not end it
	// first; and not longer than us, however we end.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.waited = make(chan struct{})
	go func() {
		_ = n.cmd.Wait() // how it ends is of no interest
		close(n.waited)
	}()
	if err := n.awaitUp(); err != nil {
		return errors.Join(err, n.stop())
	}
	return nil
}

// awaitUp waits until the server answers with the pid of its master, which
// proves that it is ours.
func (n *nginx) awaitUp() error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	pid := strconv.Itoa(n.cmd.Process.Pid)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if r, err := client.Get("http://" + n.plain + "/up"); err == nil {
			body, _ := io.ReadAll(io.LimitReader(r.Body, 100))
			r.Body.Close()
			if strings.TrimSpace(string(body)) == pid {
				return nil
			}
		}
		select {
		case <-n.waited:
			return errors.New("it has ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("it does not answer")
}

// stop ends the server and waits for it.
func (n *nginx) stop() error {
	select {
	case <-n.waited:
		return nil
	default:
	}
	_ = n.cmd.Process.Signal(syscall.SIGTERM) // gone is as good
	select {
	case <-n.waited:
		return nil
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
	<-n.waited
	return errors.New("nginx had to be killed")
}

// freePorts sets each address to a port of its own that nobody listens on now.
func freePorts(addresses ...*string) error {
	for _, a := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close() // all at the end, so that none is handed out twice
		*a = l.Addr().String()
	}
	return nil
}
