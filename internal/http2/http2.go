// Package http2 is the server's side of HTTP/2 (RFC 9113) as a state machine: bytes of the client
// in, requests out; answers in, bytes out. It has no network and no clock, and starts nothing.
//
// Header blocks of answers do not use the dynamic table of HPACK (RFC 7541), so that one block is
// good for all connections, and its order does not matter.
package http2

import (
	"fmt"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Preface begins a connection (RFC 9113 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Code is why a stream or a connection ends (RFC 9113 7).
type Code uint32

const (
	NoError Code = iota
	Protocol
	Internal
	FlowControl
	SettingsTimeout
	StreamClosed
	FrameSize
	RefusedStream
	Cancel
	Compression
	ConnectError
	EnhanceYourCalm
)

// Error ends the connection.
type Error struct {
	Code Code
	// Clause is that of RFC 9113 that the client broke, and how.
	Clause string
}

func (e *Error) Error() string { return fmt.Sprintf("HTTP/2 error %d: %s", e.Code, e.Clause) }

func fault(code Code, clause string) error { return &Error{code, clause} }

// streamError ends one stream.
type streamError struct {
	id   uint32
	code Code
}

func (e *streamError) Error() string { return fmt.Sprintf("stream %d: HTTP/2 error %d", e.id, e.code) }

// Limits of what a client may send, and of what is kept for it.
const (
	// maxContinuations bounds the frames of one header block, and maxBlock its bytes, as a multiple
	// of what the fields may have (CVE-2024-27316).
	maxContinuations = 32
	maxBlock         = 2
	// maxControl bounds what is to be sent and is no answer, in bytes: a client that does not read
	// asks for no more (CVE-2019-9512, CVE-2019-9515).
	maxControl = 16 << 10
	// maxClosed is how many streams are remembered that are over: of frames that cross the end of a
	// stream nothing is made (RFC 9113 5.1).
	maxClosed = 128

	// calmFor is the time in which the following are counted. Beyond these a client is told to be
	// calm.
	calmFor = 10 * time.Second
	// maxResets are streams that the client gave up, unless they are less than half of all
	// (CVE-2023-44487).
	maxResets   = 200
	maxPings    = 200
	maxSettings = 50
	// maxEmpty are frames of content or fields with nothing in them (CVE-2019-9518), maxIgnored
	// those that mean nothing here, maxRefused those that were answered with an error.
	maxEmpty   = 200
	maxIgnored = 2000
	maxRefused = 200
)

// Options configures a Conn.
type Options struct {
	// MaxStreams bounds the requests that are under way at once, MaxHeader the size of the fields
	// of each (RFC 9113 6.5.2), in bytes.
	MaxStreams, MaxHeader int
	App                   App
}

// App answers requests. It is called within Receive, and may call methods of Conn and Stream.
type App interface {
	// Request is told of a request: its path, which was the value of the one field :path, all
	// fields as they came, and key, which stands for all of them but that value. None of them may
	// be kept, but strings. With end there is no content. It is false for requests that are
	// malformed (RFC 9113 8.1.1).
	Request(s *Stream, path string, key []byte, fields []hpack.HeaderField, end bool) bool
	// Content is told of content, which may not be kept: at most 64 KiB until Consumed is called.
	Content(s *Stream, b []byte, end bool)
	// Sent is told that so many bytes of content were appended to the output.
	Sent(s *Stream, n int)
	// Gone is told that a stream is over: its answer was sent, or is not needed any more.
	Gone(s *Stream)
}

// counted is what there is a limit for.
type counted uint8

const (
	resets counted = iota
	pings
	settings
	empty
	ignored
	refused
	countedKinds
)

// calm counts what a client does too often.
type calm struct {
	since time.Duration
	begun int // streams
	n     [countedKinds]int
}

// count counts once more.
func (c *calm) count(now time.Duration, what counted) error {
	c.renew(now)
	c.n[what]++
	most := [countedKinds]int{resets: max(maxResets, c.begun/2), pings: maxPings, settings: maxSettings, empty: maxEmpty, ignored: maxIgnored, refused: maxRefused}
	if c.n[what] > most[what] {
		return fault(EnhanceYourCalm, "10.5: too many frames that cost more than they say")
	}
	return nil
}

// renew begins to count anew after a time.
func (c *calm) renew(now time.Duration) {
	if now-c.since > calmFor {
		*c = calm{since: now}
	}
}
