package rtmp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// The key strings and their common tail, and the handshake below, are written down here once more,
// from the published description of the algorithm, so that the test does not check the code with
// itself.
const (
	testPlayerName = "Genuine Adobe Flash Player 001"
	testServerName = "Genuine Adobe Flash Media Server 001"
	testKeyTail    = "f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae"
)

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// placeOf returns where the digest is if the four bytes that choose its place are at index base.
func placeOf(p []byte, base int) int {
	return (int(p[base])+int(p[base+1])+int(p[base+2])+int(p[base+3]))%728 + base + 4
}

func without(p []byte, at int) []byte { return append(append([]byte(nil), p[:at]...), p[at+32:]...) }

// testC1 is a C1 with bytes that count up, signed at base unless that is 0.
func testC1(base int) []byte {
	c1 := make([]byte, handshakeSize)
	for i := range c1 {
		c1[i] = byte(i * 7)
	}
	copy(c1, []byte{0, 0, 0, 0, 0x80, 0, 7, 2}) // time, version of the player
	if base != 0 {
		at := placeOf(c1, base)
		copy(c1[at:], mac([]byte(testPlayerName), without(c1, at)))
	}
	return c1
}

func TestServerHandshakeWithDigest(t *testing.T) {
	tail, _ := hex.DecodeString(testKeyTail)
	for name, base := range map[string]int{"digest first": 8, "digest second": 772} {
		t.Run(name, func(t *testing.T) {
			c1 := testC1(base)
			at := placeOf(c1, base)
			answer := answerC1(c1)
			if answer[0] != 3 {
				t.Fatalf("S0 is %d", answer[0])
			}
			s1, s2 := answer[1:1+handshakeSize], answer[1+handshakeSize:]
			if bytes.Equal(s1[4:8], make([]byte, 4)) {
				t.Error("S1 says that it has no digest")
			}
			place := placeOf(s1, base)
			if want := mac([]byte(testServerName), without(s1, place)); !bytes.Equal(want, s1[place:place+32]) {
				t.Error("S1 has no digest in the client's place")
			}
			key := mac(append([]byte(testServerName), tail...), c1[at:at+32])
			if want := mac(key, s2[:handshakeSize-32]); !bytes.Equal(want, s2[handshakeSize-32:]) {
				t.Error("S2 does not sign the client's digest")
			}
		})
	}
}

// A vector computed apart from this package, with another implementation of HMAC: the C1 of testC1
// with its digest.
func TestDigestVector(t *testing.T) {
	for _, tc := range []struct {
		scheme digestScheme
		at     int
		want   string
	}{
		{scheme0, 278, "a2aa8a9abee4f6d698256b602611f06fc4f152cf0255add445c3371249165e67"},
		{scheme1, 930, "d8c257827bb5c84c3421f9d1b6a9d50be02d177026f88ee2a8fcfadb136fc362"},
	} {
		c1 := testC1(0)
		if got := tc.scheme.offset(c1); got != tc.at {
			t.Errorf("scheme at %d: digest at %d, want %d", tc.scheme, got, tc.at)
		}
		if got := hex.EncodeToString(tc.scheme.sum(c1, playerKey()[:playerKeyPart])); got != tc.want {
			t.Errorf("scheme at %d: digest %s, want %s", tc.scheme, got, tc.want)
		}
	}
}

// S2 of the simple form is C1, byte for byte: librtmp compares all of it.
func TestServerHandshakeSimple(t *testing.T) {
	signed := testC1(8)
	broken := bytes.Clone(signed)
	broken[1500] ^= 1
	simple := bytes.Clone(signed)
	copy(simple[4:], []byte{0, 0, 0, 0})
	for name, c1 := range map[string][]byte{"no version": simple, "version but no digest that fits": broken} {
		answer := answerC1(c1)
		s1, s2 := answer[1:1+handshakeSize], answer[1+handshakeSize:]
		if !bytes.Equal(s2, c1) {
			t.Errorf("%s: S2 is not C1", name)
		}
		if !bytes.Equal(s1[4:8], make([]byte, 4)) {
			t.Errorf("%s: S1 claims a digest", name)
		}
		other := answerC1(c1)
		if bytes.Equal(s1[8:], other[9:1+handshakeSize]) {
			t.Errorf("%s: S1 is not random", name)
		}
	}
}

func TestClientHandshake(t *testing.T) {
	for _, signed := range []bool{false, true} {
		client, server := loopback(t)
		done := make(chan error, 1)
		go func() { done <- serverHandshake(server, "", func() {}) }()
		if err := clientHandshake(client, signed, func() {}); err != nil {
			t.Errorf("signed %v: client: %v", signed, err)
		}
		if err := <-done; err != nil {
			t.Errorf("signed %v: server: %v", signed, err)
		}
		client.Close()
		server.Close()
	}
}

// The C2 of a client with digest signs S1's digest.
func TestClientAnswersDigest(t *testing.T) {
	tail, _ := hex.DecodeString(testKeyTail)
	s1 := testC1(0)
	at := placeOf(s1, 772)
	digest := mac([]byte(testServerName), without(s1, at))
	copy(s1[at:], digest)
	c2 := answerS1(s1, true)
	key := mac(append([]byte(testPlayerName), tail...), digest)
	if want := mac(key, c2[:handshakeSize-32]); !bytes.Equal(want, c2[handshakeSize-32:]) {
		t.Error("C2 does not sign the server's digest")
	}
	s1[0] ^= 1
	if got := answerS1(s1, true); !bytes.Equal(got, s1) {
		t.Error("C2 for a server without digest is not S1")
	}
}

// A server that does not know the version answers with 3, and the client may go on with that
// (§5.2.2).
func TestOtherVersions(t *testing.T) {
	for _, version := range []byte{4, 6, 8, 22, 31} { // 6 and 8 are RTMPE's; 22 begins TLS too
		client, done := serve(t, &testHandler{}, ServerOptions{})
		c1 := testC1(8)
		if _, err := client.Write(append([]byte{version}, c1...)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 1+2*handshakeSize)
		if _, err := io.ReadFull(client, answer); err != nil || answer[0] != 3 {
			t.Fatalf("version %d: answered with %d, %v", version, answer[0], err)
		}
		if _, err := client.Write(answer[1 : 1+handshakeSize]); err != nil {
			t.Fatal(err)
		}
		p := newPeerAfterHandshake(t, client)
		p.command(0, "connect", 1, nil)
		p.expectCommand("_result")
		client.Close()
		<-done
	}
}

func TestWrongProtocol(t *testing.T) {
	for _, tc := range []struct {
		name, first string
		want        error
		answer      string
	}{
		{"HTTP", "GET /live/movie.flv HTTP/1.1\r\nHost: x\r\n\r\n", ErrHTTPRequest, "HTTP/1.1 400 "},
		{"HTTP tunnel of RTMP", "POST /open/1 HTTP/1.1\r\n\r\n", ErrHTTPRequest, "HTTP/1.1 400 "},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ErrTLS, "\x15\x03\x01\x00\x02\x02\x28"},
		{"a version before RTMP 1.0", "\x02\x00\x00\x00\x00", ErrProtocol, ""},
		{"the first version that is text", "\x20\x00\x00\x00\x00", ErrProtocol, ""},
		{"SSH", "SSH-2.0-x\r\n", ErrProtocol, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, done := serve(t, &testHandler{}, ServerOptions{HTTPHint: "HTTP-FLV is on port 7001."})
			if _, err := io.WriteString(client, tc.first); err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(client)
			if !strings.HasPrefix(string(answer), tc.answer) || (tc.answer == "" && len(answer) > 0) {
				t.Errorf("answer %q, want %q", answer, tc.answer)
			}
			if tc.want == ErrHTTPRequest && !strings.HasSuffix(string(answer), "\r\n\r\nHTTP-FLV is on port 7001.\n") {
				t.Errorf("answer %q without the hint", answer)
			}
			client.Close()
			if err := <-done; !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add(append([]byte{3}, testC1(8)...))
	f.Add(append([]byte{3}, testC1(772)...))
	f.Add(append(append([]byte{3}, testC1(0)...), make([]byte, handshakeSize)...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{22, 3, 1, 0})
	f.Add(append(append([]byte{6}, testC1(8)...), make([]byte, handshakeSize)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		err := serverHandshake(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(in), &out}, "", func() {})
		ours := len(in) > 1 && in[0] >= 3 && in[0] < 32 && !(in[0] == 22 && in[1] == 3)
		if (err == nil) != (len(in) >= 1+2*handshakeSize && ours) {
			t.Fatalf("%d bytes: error %v", len(in), err)
		}
		if len(in) < 1+handshakeSize || !ours {
			return
		}
		// A client of ours accepts whatever was answered.
		answer := out.Bytes()
		if len(answer) != 1+2*handshakeSize {
			t.Fatalf("answer of %d bytes", len(answer))
		}
		if err := clientHandshake(struct {
			io.Reader
			io.Writer
		}{&out, io.Discard}, true, func() {}); err != nil {
			t.Fatal(err)
		}
	})
}

// Each step of the handshake has its own deadline.
func TestHandshakeTimeouts(t *testing.T) {
	for name, first := range map[string][]byte{
		"nothing": nil, "part of C1": append([]byte{3}, make([]byte, 100)...), "no C2": append([]byte{3}, make([]byte, handshakeSize)...),
	} {
		t.Run(name, func(t *testing.T) {
			client, done := serve(t, &testHandler{}, ServerOptions{ReadTimeout: 50 * time.Millisecond})
			if _, err := client.Write(first); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, client); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, ErrTimeout) {
				t.Errorf("error %v, want %v", err, ErrTimeout)
			}
		})
	}
}

// serve runs Serve for one connection over loopback.
func serve(t *testing.T, h Handler, opt ServerOptions) (client net.Conn, done <-chan error) {
	t.Helper()
	return serveContext(t, t.Context(), h, opt)
}

func serveContext(t *testing.T, ctx context.Context, h Handler, opt ServerOptions) (client net.Conn, done <-chan error) {
	t.Helper()
	client, server := loopback(t)
	result := make(chan error, 1)
	go func() { result <- Serve(ctx, server, opt, h) }()
	return client, result
}

// loopback returns the two ends of a TCP connection. Those of the client have a deadline so that no
// test hangs.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := client.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return client, server
}
