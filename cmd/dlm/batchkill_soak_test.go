//go:build soak && linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	texttemplate "text/template"
	"time"

	"github.com/stretchr/testify/require"
)

// nginxServer is an nginx of our own with several hosts: one of them closes 3 % of the
// connections without an answer, and some send slowly.
type nginxServer struct {
	Root      bool // we are root, and only root may read what the test made
	Dir       string
	Hosts     []string // that send at once
	SlowHosts []string
	files     int
	read      int64 // bytes of the log
	count     map[string]int
	caused    int
}

// A status of 444 means that nginx closes the connection.
var nginxOfHosts = texttemplate.Must(texttemplate.New("").Parse(`
{{if .Root}}user root;{{end}}
daemon off;
worker_processes 1;
pid {{.Dir}}/pid;
error_log {{.Dir}}/error.log;
events { worker_connections 512; }
http {
	log_format short '$request_uri $status';
	access_log {{.Dir}}/access.log short;
	default_type application/octet-stream;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	split_clients $request_id $reset { 3% 1; * 0; }
	server {
		{{range .Hosts}}listen {{.}};
		{{end}}
		root {{.Dir}}/www;
		location /reset { if ($reset) { return 444; } }
	}
	server {
		{{range .SlowHosts}}listen {{.}};
		{{end}}
		root {{.Dir}}/www;
		limit_rate 400;
	}
}
`))

const (
	nginxHosts     = 4
	nginxSlowHosts = 3
	nginxSlowEach  = 4 // files; some 2 KiB, for 5 seconds
)

func newNginxServer(t *testing.T, files int) *nginxServer {
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	n := &nginxServer{Root: os.Getuid() == 0, Dir: t.TempDir(), files: files, count: map[string]int{}}
	n.Hosts, n.SlowHosts = freeAddresses(t, nginxHosts), freeAddresses(t, nginxSlowHosts)
	www := filepath.Join(n.Dir, "www")
	require.NoError(t, os.Mkdir(www, 0o700))
	for _, l := range n.links() {
		if !l.bad {
			require.NoError(t, os.WriteFile(filepath.Join(www, l.path), contentOf(l.path), 0o600))
		}
	}
	var conf bytes.Buffer
	require.NoError(t, nginxOfHosts.Execute(&conf, n))
	file := filepath.Join(n.Dir, "nginx.conf")
	require.NoError(t, os.WriteFile(file, conf.Bytes(), 0o600))
	cmd := exec.Command(program, "-p", n.Dir, "-e", filepath.Join(n.Dir, "error.log"), "-c", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	require.NoError(t, cmd.Start(), "it needs nginx")
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})
	require.Eventually(t, func() bool { return n.mark() == nil }, 10*time.Second, 10*time.Millisecond)
	return n
}

func freeAddresses(t *testing.T, n int) (addresses []string) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close() // all at the end, so that none is given out twice
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func (n *nginxServer) links() (links []killedLink) {
	for i := range n.files {
		l := killedLink{base: "http://" + n.Hosts[i%nginxHosts], path: fmt.Sprint("/file", i)}
		switch {
		case i%100 == 17:
			l.path, l.bad = fmt.Sprint("/bad", i), true
		case i%nginxHosts == 0:
			l.path = fmt.Sprint("/reset", i)
		case i%(n.files/nginxSlowHosts/nginxSlowEach) == 5:
			slow := i / (n.files / nginxSlowHosts / nginxSlowEach)
			l.base, l.path = "http://"+n.SlowHosts[slow%nginxSlowHosts], fmt.Sprintf("/slow%d", 200*i+199)
		}
		links = append(links, l)
	}
	return links
}

// moment is any time in which some hundred files may come; the slow ones do not.
func (n *nginxServer) moment(random *rand.Rand) <-chan time.Time {
	return time.After(time.Duration(random.Int64N(int64(400 * time.Millisecond))))
}

func (n *nginxServer) last() {}

// mark makes a request and waits until it is in the log, behind all before it.
func (n *nginxServer) mark() error {
	mark := fmt.Sprint("/mark", rand.Uint64())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + n.Hosts[0] + mark)
	if err != nil {
		return err
	}
	response.Body.Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		log, err := os.ReadFile(filepath.Join(n.Dir, "access.log"))
		if err != nil || bytes.Contains(log, []byte(mark)) {
			return err
		}
	}
	return fmt.Errorf("%s does not come into the log", mark)
}

func (n *nginxServer) requests(t *testing.T) (map[string]int, int) {
	require.NoError(t, n.mark())
	log, err := os.Open(filepath.Join(n.Dir, "access.log"))
	require.NoError(t, err)
	defer log.Close()
	_, err = log.Seek(n.read, io.SeekStart)
	require.NoError(t, err)
	text, err := io.ReadAll(log)
	require.NoError(t, err)
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	n.read += int64(len(text))
	for line := range strings.Lines(string(text)) {
		path, status, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(path, "/mark") {
			continue
		}
		n.count[path]++
		if status == strconv.Itoa(444) {
			n.caused++
		}
	}
	return n.count, n.caused
}

func TestABatchOfNginxThatIsKilledThirtyTimesGoesOn(t *testing.T) {
	killedBatch{
		server: newNginxServer(t, 10_000), kills: 30, parallel: 16, flags: []string{"--per-host", "4"},
	}.run(t)
}
