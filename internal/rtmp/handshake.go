package rtmp

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const (
	// protocolVersion is C0 and S0 (§5.2.2).
	protocolVersion = 3
	// maxVersion is the highest version that is reserved for RTMP, for text begins above. RTMPE has
	// 6 and 8. A server that knows none of them answers with 3, and the client may go on with that.
	maxVersion = 31
	// handshakeSize is the length of C1, S1, C2 and S2 (§5.2.3, §5.2.4).
	handshakeSize = 1536
)

// Versions put into the second field of a signed C1 or S1, where the simple handshake has zero.
// Peers look at whether it is zero.
const (
	signedServerVersion = 0x04050001
	signedClientVersion = 0x0A002D02
)

// serverHandshake performs the handshake (§5.2) on rw. step is called before each wait for the
// peer. A client whose C1 bears a digest is answered with one, any other gets the simple form.
func serverHandshake(rw io.ReadWriter, httpHint string, step func()) error {
	step()
	var c01 [1 + handshakeSize]byte
	n, err := io.ReadAtLeast(rw, c01[:], 4)
	if err != nil {
		return fmt.Errorf("reading C0: %w", err)
	}
	if c01[0] < protocolVersion || c01[0] > maxVersion || isTLS(c01[:n]) {
		return refuseVersion(rw, c01[:n], httpHint)
	}
	if _, err := io.ReadFull(rw, c01[n:]); err != nil {
		return fmt.Errorf("reading C1: %w", err)
	}
	if _, err := rw.Write(answerC1(c01[1:])); err != nil {
		return fmt.Errorf("writing S0, S1 and S2: %w", err)
	}
	step()
	// C2 should repeat S1. Too many clients get it wrong, and nothing depends on it.
	if _, err := io.CopyN(io.Discard, rw, handshakeSize); err != nil {
		return fmt.Errorf("reading C2: %w", unexpectedEOF(err))
	}
	return nil
}

// answerC1 returns S0, S1 and S2.
func answerC1(c1 []byte) []byte {
	out := make([]byte, 1+2*handshakeSize)
	out[0] = protocolVersion
	s1, s2 := out[1:1+handshakeSize], out[1+handshakeSize:]
	scheme, digest, signed := scheme0, []byte(nil), false
	if binary.BigEndian.Uint32(c1[4:]) != 0 {
		scheme, digest, signed = findDigest(c1, playerKey()[:playerKeyPart])
	}
	rand.Read(s1[8:]) // it never fails; time and version stay zero
	if !signed {
		copy(s2, c1)
		return out
	}
	binary.BigEndian.PutUint32(s1[4:], signedServerVersion)
	scheme.sign(s1, serverKey()[:serverKeyPart])
	rand.Read(s2)
	answerDigest(s2, digest, serverKey())
	return out
}

// clientHandshake performs the handshake as a client, with a digest if it is to be signed. A server
// that does not know digests is accepted all the same.
func clientHandshake(rw io.ReadWriter, signed bool, step func()) error {
	step()
	c01 := make([]byte, 1+handshakeSize)
	c01[0] = protocolVersion
	c1 := c01[1:]
	rand.Read(c1[8:])
	if signed {
		binary.BigEndian.PutUint32(c1[4:], signedClientVersion)
		scheme0.sign(c1, playerKey()[:playerKeyPart])
	}
	if _, err := rw.Write(c01); err != nil {
		return fmt.Errorf("writing C0 and C1: %w", err)
	}
	s01 := make([]byte, 1+handshakeSize)
	if _, err := io.ReadFull(rw, s01); err != nil {
		return fmt.Errorf("reading S0 and S1: %w", err)
	}
	if s01[0] != protocolVersion {
		return protocolErrorf("server speaks rtmp version %d", s01[0])
	}
	if _, err := rw.Write(answerS1(s01[1:], signed)); err != nil {
		return fmt.Errorf("writing C2: %w", err)
	}
	step()
	if _, err := io.CopyN(io.Discard, rw, handshakeSize); err != nil {
		return fmt.Errorf("reading S2: %w", unexpectedEOF(err))
	}
	return nil
}

// answerS1 returns C2.
func answerS1(s1 []byte, signed bool) []byte {
	if signed {
		if _, digest, ok := findDigest(s1, serverKey()[:serverKeyPart]); ok {
			c2 := make([]byte, handshakeSize)
			rand.Read(c2)
			answerDigest(c2, digest, playerKey())
			return c2
		}
	}
	return s1
}

// refuseVersion tells peers that came to the wrong port what is wrong, in their own protocol.
func refuseVersion(w io.Writer, first []byte, httpHint string) error {
	switch {
	case isHTTP(first):
		// Whether the answer arrives changes nothing: the request is the error.
		_, _ = io.WriteString(w, httpAnswer(httpHint))
		return ErrHTTPRequest
	case isTLS(first):
		_, _ = w.Write([]byte(tlsAlert))
		return ErrTLS
	}
	return protocolErrorf("client speaks rtmp version %d", first[0])
}

// Of TLS (RFC 8446 §5.1, §6): how a ClientHello begins, and a fatal handshake_failure.
const (
	tlsHandshake = 22
	tlsMajor     = 3
	tlsAlert     = "\x15\x03\x01\x00\x02\x02\x28"
)

func isTLS(first []byte) bool { return first[0] == tlsHandshake && first[1] == tlsMajor }

func isHTTP(first []byte) bool {
	switch string(first[:4]) {
	case "GET ", "HEAD", "POST", "PUT ", "OPTI", "DELE", "CONN", "PATC", "TRAC", "PRI ":
		return true
	}
	return false
}

func httpAnswer(hint string) string {
	if hint == "" {
		hint = "This port speaks RTMP, not HTTP."
	}
	body := strings.TrimRight(hint, "\n") + "\n"
	return fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"+
		"Cache-Control: no-store\r\nConnection: close\r\n\r\n%s", len(body), body)
}
