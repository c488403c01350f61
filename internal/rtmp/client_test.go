package rtmp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/amf"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]URL{
		"rtmp://h/live":               {Host: "h", Addr: "h:1935", App: "live", TCURL: "rtmp://h/live"},
		"rtmp://h/live/":              {Host: "h", Addr: "h:1935", App: "live", TCURL: "rtmp://h/live"},
		"rtmp://h:1936/live/a":        {Host: "h", Addr: "h:1936", App: "live", Name: "a", TCURL: "rtmp://h:1936/live"},
		"rtmp://h/live/a/b?x=1&y=%2F": {Host: "h", Addr: "h:1935", App: "live", Name: "a/b?x=1&y=%2F", TCURL: "rtmp://h/live"},
		"rtmp://h/live?x=1":           {Host: "h", Addr: "h:1935", App: "live?x=1", TCURL: "rtmp://h/live?x=1"},
		"rtmp://[::1]/live/a":         {Host: "::1", Addr: "[::1]:1935", App: "live", Name: "a", TCURL: "rtmp://[::1]/live"},
		"rtmps://[::1]:1/live/a%20b":  {TLS: true, Host: "::1", Addr: "[::1]:1", App: "live", Name: "a%20b", TCURL: "rtmps://[::1]:1/live"},
		"rtmps://h/live/a":            {TLS: true, Host: "h", Addr: "h:443", App: "live", Name: "a", TCURL: "rtmps://h/live"},
		"rtmp://u:p@h/live/a":         {User: "u", Password: "p", Host: "h", Addr: "h:1935", App: "live", Name: "a", TCURL: "rtmp://h/live"},
	} {
		got, err := ParseURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		wantEqual(t, raw, want, got)
	}
	for _, raw := range []string{"", "h/live", "http://h/live/a", "rtmp:///live", "rtmp://h", "rtmp://h/", "rtmp://h/live/%zzsecret", "rtmp://h:x/live"} {
		if u, err := ParseURL(raw); err == nil {
			t.Errorf("%s: %+v", raw, u)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %q tells the stream key", raw, err)
		}
	}
}

// listen serves every connection with h and returns the URL without a path.
func listen(t *testing.T, h Handler, opt ServerOptions, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "rtmp://"
	if config != nil {
		scheme = "rtmps://"
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if config != nil {
				nc = tls.Server(nc, config)
			}
			connections.Go(func() { _ = Serve(t.Context(), nc, opt, h) })
		}
	})
	t.Cleanup(func() { l.Close(); connections.Wait() })
	return scheme + l.Addr().String()
}

// relay is a handler of one stream without any memory: what is published goes to the one player.
func relay() *testHandler {
	messages := make(chan Message, 1000)
	h := &testHandler{message: func(m Message) error { messages <- m; return nil }}
	h.play = func(ctx context.Context, r *PlayRequest, s *PlayStream) error {
		replies, nc := s.Start(newTestControl())
		if _, err := nc.Write(replies); err != nil {
			return err
		}
		f := Format{StreamID: r.StreamID}
		for {
			select {
			case m := <-messages:
				if m.Body == nil {
					_, err := nc.Write(EndOfStream(r.StreamID))
					return err
				}
				if _, err := nc.Write(f.AppendMessage(nil, m.Type, m.TimestampMS, m.Body)); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return h
}

func testMedia() []Message {
	all := []Message{{Type: TypeDataAMF0, Body: amf.Append(nil, "onMetaData", amf.ECMAArray{})}}
	for i := range 200 {
		all = append(all, Message{Type: TypeVideo, TimestampMS: uint32(0xfffff0 + i*33), Body: bytes.Repeat([]byte{byte(i)}, 1+i*997)},
			Message{Type: TypeAudio, TimestampMS: uint32(0xfffff0 + i*33), Body: bytes.Repeat([]byte{byte(i)}, 300)})
	}
	return all
}

func TestClientPublishAndPlay(t *testing.T) {
	config, roots := testCertificate(t)
	for _, tc := range []struct {
		name   string
		config *tls.Config
		opt    ClientOptions
	}{
		{"rtmp", nil, ClientOptions{}},
		{"rtmp with digest", nil, ClientOptions{Digest: true}},
		{"rtmps", config, ClientOptions{TLSConfig: &tls.Config{RootCAs: roots}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := relay()
			url := listen(t, h, ServerOptions{}, tc.config)
			publisher, err := Dial(t.Context(), url+"/live/a/key?token=1", tc.opt)
			if err != nil {
				t.Fatal(err)
			}
			defer publisher.Close()
			if err := publisher.Publish(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if r := h.published[0]; r.App != "live" || r.Name != "a/key" || r.Query != "token=1" || r.CapsEx != CapMultitrack|CapModEx {
				t.Errorf("request %+v", r)
			}
			player, err := Dial(t.Context(), url+"/live", tc.opt)
			if err != nil {
				t.Fatal(err)
			}
			defer player.Close()
			if err := player.Play(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			want := testMedia()
			written := make(chan error, 1)
			go func() { written <- writeAll(publisher, want) }()
			var got []Message
			for len(got) < len(want) {
				m, err := player.Read()
				if err != nil {
					t.Fatal(err)
				}
				if m.StreamID != 1 {
					t.Fatalf("message stream %d", m.StreamID)
				}
				m.StreamID = 0
				got = append(got, m)
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
			wantEqual(t, "messages", "", diffMessages(want, got))
			if err := publisher.Unpublish(); err != nil {
				t.Error(err)
			}
			if cause := waitFor(t, "end", h.publication(0).closed); cause != ErrUnpublished {
				t.Errorf("closed with %v", cause)
			}
			if err := h.message(Message{}); err != nil {
				t.Error(err)
			}
			if _, err := player.Read(); err != io.EOF {
				t.Errorf("end of the stream: %v, want %v", err, io.EOF)
			}
		})
	}
}

func writeAll(c *Client, messages []Message) error {
	for _, m := range messages {
		if err := c.Write(m); err != nil {
			return err
		}
	}
	return c.Flush()
}

func TestClientRefused(t *testing.T) {
	refuse := func(code string) error { return &StatusError{Code: code, Description: "No."} }
	h := &testHandler{
		connect: func(r *ConnectRequest) error {
			if r.App != "live" {
				return refuse(CodeConnectRejected)
			}
			return nil
		},
		publish: func(*PublishRequest) error { return refuse(CodePublishDenied) },
		play:    func(context.Context, *PlayRequest, *PlayStream) error { return refuse(CodePlayNotFound) },
	}
	url := listen(t, h, ServerOptions{}, nil)
	_, err := Dial(t.Context(), url+"/other/x", ClientOptions{})
	wantStatus(t, "connect", err, CodeConnectRejected)
	for _, tc := range []struct {
		name string
		do   func(c *Client) error
		code string
	}{
		{"publish", func(c *Client) error { return c.Publish(t.Context(), "key") }, CodePublishDenied},
		{"play", func(c *Client) error { return c.Play(t.Context(), "x") }, CodePlayNotFound},
	} {
		c, err := Dial(t.Context(), url+"/live", ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, tc.name, tc.do(c), tc.code)
		c.Close()
	}
}

func wantStatus(t *testing.T, what string, err error, code string) {
	t.Helper()
	var status *StatusError
	if !errors.As(err, &status) || status.Code != code || status.Level != "error" || status.Description != "No." {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// A publisher that reads hears that it was closed, and answers pings and acknowledgement windows
// meanwhile.
func TestClientReadsWhilePublishing(t *testing.T) {
	h := &testHandler{}
	url := listen(t, h, ServerOptions{}, nil)
	c, err := Dial(t.Context(), url+"/live/key", ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Publish(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { _, err := c.Read(); result <- err }()
	h.published[0].Close(&StatusError{Code: CodePublishBadName, Description: "No."})
	wantStatus(t, "read", waitFor(t, "status", result), CodePublishBadName)
}

// Defects 31 and 32: servers that do not answer, or leave.
func TestClientServerFails(t *testing.T) {
	for _, tc := range []struct {
		name  string
		serve func(nc net.Conn)
		want  error
	}{
		{"silent", func(nc net.Conn) { io.Copy(io.Discard, nc) }, ErrTimeout},
		{"handshake only", func(nc net.Conn) {
			_ = serverHandshake(nc, "", func() {})
			io.Copy(io.Discard, nc)
		}, ErrTimeout},
		{"closes", func(nc net.Conn) { nc.Close() }, nil},
		{"closes after the handshake", func(nc net.Conn) {
			_ = serverHandshake(nc, "", func() {})
			io.ReadFull(nc, make([]byte, 50))
			nc.Close()
		}, nil},
		{"speaks something else", func(nc net.Conn) { nc.Write(bytes.Repeat([]byte("HTTP"), 1000)); io.Copy(io.Discard, nc) }, ErrProtocol},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, server := loopback(t)
			done := make(chan struct{})
			go func() { defer close(done); tc.serve(server) }()
			_, err := Dial(t.Context(), "rtmp://h/live/x", ClientOptions{
				ReadTimeout: 100 * time.Millisecond,
				DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil },
			})
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			<-done
		})
	}
}

func TestClientContext(t *testing.T) {
	client, server := loopback(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	go func() {
		io.ReadFull(server, make([]byte, 1+1536))
		cancel(stop)
	}()
	_, err := Dial(ctx, "rtmp://h/live/x", ClientOptions{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil },
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
}

func TestClientVerifiesCertificate(t *testing.T) {
	config, _ := testCertificate(t)
	url := listen(t, &testHandler{}, ServerOptions{}, config)
	if c, err := Dial(t.Context(), url+"/live", ClientOptions{}); err == nil {
		c.Close()
		t.Error("a certificate that nobody signed was accepted")
	}
	c, err := Dial(t.Context(), url+"/live", ClientOptions{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// What Detach returns continues where the client stopped.
func TestClientDetach(t *testing.T) {
	h := &testHandler{play: func(ctx context.Context, r *PlayRequest, s *PlayStream) error {
		replies, nc := s.Start(newTestControl())
		media := Format{StreamID: r.StreamID}.AppendMessage(nil, TypeVideo, 5, make([]byte, 100))
		_, err := nc.Write(append(replies, media...))
		return err
	}}
	c, err := Dial(t.Context(), listen(t, h, ServerOptions{}, nil)+"/live/x", ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Play(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	nc, buffered := c.Detach()
	rest, err := io.ReadAll(io.MultiReader(bytes.NewReader(buffered), nc))
	if err != nil {
		t.Fatal(err)
	}
	want := Format{StreamID: 1}.AppendMessage(nil, TypeVideo, 5, make([]byte, 100))
	if !bytes.HasSuffix(rest, want) {
		t.Errorf("%d bytes without the message at their end", len(rest))
	}
}

// testCertificate returns a server's configuration with a fresh certificate for 127.0.0.1, and the
// roots to verify it.
func testCertificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

func TestClientPlayTimesOut(t *testing.T) {
	h := &testHandler{play: func(ctx context.Context, _ *PlayRequest, s *PlayStream) error {
		replies, nc := s.Start(newTestControl())
		if _, err := nc.Write(replies); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	c, err := Dial(t.Context(), listen(t, h, ServerOptions{}, nil)+"/live/x", ClientOptions{ReadTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Play(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.Read(); err != nil {
			if !errors.Is(err, ErrTimeout) {
				t.Errorf("error %v, want %v", err, ErrTimeout)
			}
			return
		}
	}
}

// Some servers say that a stream is over by StreamEOF alone.
func TestClientStreamEOF(t *testing.T) {
	h := &testHandler{play: func(ctx context.Context, _ *PlayRequest, s *PlayStream) error {
		replies, nc := s.Start(newTestControl())
		if _, err := nc.Write(appendUserControl(replies, eventStreamEOF, 1)); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	c, err := Dial(t.Context(), listen(t, h, ServerOptions{}, nil)+"/live/x", ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Play(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.Read(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHandOver: what somebody else sends in the client's place reaches its message stream, and ends
// as it would have ended it.
func TestHandOver(t *testing.T) {
	h := relay()
	url := listen(t, h, ServerOptions{}, nil)
	c, err := Dial(t.Context(), url+"/live/key", ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.createStream(); err != nil { // so that the next one has another id
		t.Fatal(err)
	}
	if err := c.Publish(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if id := h.published[0].StreamID; id == 1 {
		t.Fatalf("message stream %d", id)
	}
	var posted []byte
	conn, bye := c.HandOver(func(b []byte) error { posted = append(posted, b...); return nil })
	if err := c.send([]byte("pong")); err != nil || string(posted) != "pong" {
		t.Errorf("posted %q, %v", posted, err)
	}
	got := make(chan Message, 1)
	h.message = func(m Message) error { got <- m; return nil }
	for i, want := range testMedia() {
		if _, err := conn.Write(Format{StreamID: 1}.AppendMessage(nil, want.Type, want.TimestampMS, want.Body)); err != nil {
			t.Fatal(err)
		}
		m := waitFor(t, "message", got)
		m.StreamID = 0
		if diff := diffMessages([]Message{want}, []Message{m}); diff != "" {
			t.Fatalf("message %d: %s", i, diff)
		}
	}
	if _, err := conn.Write(bye); err != nil {
		t.Fatal(err)
	}
	if cause := waitFor(t, "end", h.publication(0).closed); cause != ErrUnpublished {
		t.Errorf("closed with %v", cause)
	}
}
