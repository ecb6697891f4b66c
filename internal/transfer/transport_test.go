package transfer

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestTransportSettings(t *testing.T) {
	a, b := NewTransport(), NewTransport()
	require.NotSame(t, a, b)
	require.True(t, a.DisableCompression)
	require.False(t, a.DisableKeepAlives)
	require.Equal(t, idlePerHost, a.MaxIdleConnsPerHost)
	require.Zero(t, a.MaxIdleConns)
	require.Zero(t, a.MaxConnsPerHost)
	require.Zero(t, a.ResponseHeaderTimeout)
	require.Positive(t, a.IdleConnTimeout)
	require.Equal(t, 10*time.Second, a.TLSHandshakeTimeout)
	require.EqualValues(t, tls.VersionTLS12, a.TLSClientConfig.MinVersion)
	require.NotNil(t, a.Proxy)
	require.True(t, a.Protocols.HTTP1())
	require.False(t, a.Protocols.HTTP2())
}

// protocol fetches over TLS and returns the protocol that was spoken.
func protocol(t *testing.T, change func(*http.Transport)) string {
	o := testorigin.NewHTTP2(t)
	transport := NewTransport()
	transport.TLSClientConfig.RootCAs = o.RootCAs()
	change(transport)
	defer transport.CloseIdleConnections()
	var spoken string
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := transport.RoundTrip(r)
		if err == nil {
			spoken = resp.Proto
		}
		return resp, err
	})}
	_, _, err := get(t, o.ServeSize("/f", 1<<20), withClient(client))
	require.NoError(t, err)
	return spoken
}

func TestTransportSpeaksHTTP1UnlessToldOtherwise(t *testing.T) {
	require.Equal(t, "HTTP/1.1", protocol(t, func(*http.Transport) {}))
	require.Equal(t, "HTTP/2.0", protocol(t, func(tr *http.Transport) { tr.Protocols.SetHTTP2(true) }))
}

func TestTransportRefusesAnUnknownAuthority(t *testing.T) {
	o := testorigin.NewTLS(t)
	_, m, err := get(t, o.Serve("/f", []byte("x")))
	failed := requireFailure(t, err, errAny)
	unknown := new(tls.CertificateVerificationError)
	require.ErrorAs(t, err, &unknown)
	require.Contains(t, failed.Error(), "unknown authority")
	require.Zero(t, m.starts)
}
