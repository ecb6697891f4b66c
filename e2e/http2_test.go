package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

// overHTTP2 starts the server with TLS and HTTP/2 and returns an option for
// requests that speak nothing else.
func overHTTP2(t *testing.T, s *store) dlmanager.DownloadOption {
	t.Helper()
	s.EnableHTTP2 = true
	s.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	transport := dlmanager.NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	transport.Protocols.SetHTTP1(false)
	transport.Protocols.SetHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return dlmanager.WithTransport(transport)
}

// requireHTTP2 asserts that nobody has spoken anything else.
func requireHTTP2(t *testing.T, s *store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.protos)
	for _, proto := range s.protos {
		require.Equal(t, 2, proto)
	}
}

func TestHTTP2(t *testing.T) {
	for _, size := range []int{0, 1, 2, 100_000, 16 << 20} {
		for _, connections := range []int{0, 4} {
			t.Run(fmt.Sprint(size, " ", connections), func(t *testing.T) {
				s := newStore(t, size)
				speak := overHTTP2(t, s)
				r := fetch(t, s.file, s.URL+"/file.bin", speak, dlmanager.WithConnections(connections))
				assert.Equal(t, 1, r.Attempts)
				assert.True(t, r.Verified)
				ranges, sent := s.asked()
				assert.Equal(t, []string{""}, ranges, "several streams of one connection bring nothing faster")
				assert.EqualValues(t, size, sent)
				requireHTTP2(t, s)
			})
		}
	}
}

func TestHTTP2ManyAtOnce(t *testing.T) {
	s := newStore(t, 300_000)
	m, dir := newManager(t, overHTTP2(t, s))
	for i := range 50 {
		m.Download(s.URL+"/file.bin", fmt.Sprint("file", i))
	}
	require.NoError(t, m.Wait())
	require.Empty(t, unfinished(t, dir))
	_, sent := s.asked()
	assert.EqualValues(t, 50*300_000, sent)
	requireHTTP2(t, s)
}

func TestHTTP2IsCutMidway(t *testing.T) {
	for name, kill := range map[string]bool{"stream": false, "connection": true} {
		t.Run(name, func(t *testing.T) {
			const size = 6 << 20
			s := newStore(t, size)
			s.cuts, s.cutAt, s.kill = 3, 1<<20, kill
			speak := overHTTP2(t, s)
			r := fetch(t, s.file, s.URL+"/file.bin", speak)
			assert.Equal(t, 4, r.Attempts)
			assert.EqualValues(t, size, r.WireBytes, "what has come is not fetched again")
			ranges, sent := s.asked()
			require.Len(t, ranges, 4)
			assert.Empty(t, ranges[0])
			for _, one := range ranges[1:] {
				assert.Regexp(t, `^bytes=\d+-$`, one)
			}
			assert.LessOrEqual(t, sent, int64(size+3<<20))
			requireHTTP2(t, s)
		})
	}
}

func TestHTTP2IsAlwaysCut(t *testing.T) {
	s := newStore(t, 500_000)
	s.cuts, s.cutAt = 1000, 0
	speak := overHTTP2(t, s)
	err := fetchInVain(t, s.URL+"/file.bin", speak)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.True(t, dlmanager.IsTemporary(err))
	requireHTTP2(t, s)
}
