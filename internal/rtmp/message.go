package rtmp

import (
	"errors"
	"fmt"
)

// Message types (§5.4, §6.2, §7.1).
const (
	typeSetChunkSize     = 1
	typeAbort            = 2
	typeAcknowledgement  = 3
	typeUserControl      = 4
	typeWindowAckSize    = 5
	typeSetPeerBandwidth = 6
	// TypeAudio is an audio message.
	TypeAudio = 8
	// TypeVideo is a video message.
	TypeVideo = 9
	// TypeDataAMF3 is a data message with a format selector byte before its AMF0 values.
	TypeDataAMF3    = 15
	typeCommandAMF3 = 17
	// TypeDataAMF0 is a data message: AMF0 values, the first of which names the handler.
	TypeDataAMF0    = 18
	typeCommandAMF0 = 20
	typeAggregate   = 22
)

// MaxBody is the length of the longest message body that a chunk header can announce, in bytes.
const MaxBody = 1<<24 - 1

// Message is one RTMP message.
type Message struct {
	// Type is the message type: TypeAudio, TypeVideo, TypeDataAMF0, TypeDataAMF3, or another one of
	// the protocol.
	Type uint8
	// StreamID is the message stream.
	StreamID uint32
	// TimestampMS is the absolute time on the sender's clock. It wraps around.
	TimestampMS uint32
	// Body belongs to the receiver and never changes. It may share memory with other bodies: keep
	// it as long as those, and copy what is to be kept for long.
	Body []byte
}

// isMedia reports whether m is one that a Publication takes.
func (m *Message) isMedia() bool {
	switch m.Type {
	case TypeAudio, TypeVideo, TypeDataAMF0, TypeDataAMF3:
		return true
	}
	return false
}

// Why connections and playbacks end. They come wrapped with what happened.
var (
	// ErrProtocol: the peer sent bytes that are not RTMP.
	ErrProtocol = errors.New("rtmp protocol error")
	// ErrLimit: the peer sent more of something than is allowed at this point.
	ErrLimit = errors.New("rtmp limit exceeded")
	// ErrTimeout: the peer did not send within the time that it had.
	ErrTimeout = errors.New("rtmp peer too slow")
	// ErrHTTPRequest: the first bytes were an HTTP request. It was answered.
	ErrHTTPRequest = errors.New("http request on rtmp port")
	// ErrTLS: the first bytes were a TLS handshake, on a connection without TLS.
	ErrTLS = errors.New("tls handshake on plain rtmp port")
	// ErrUnpublished: the publisher ended its stream with FCUnpublish, closeStream or deleteStream.
	ErrUnpublished = errors.New("unpublished")
	// ErrStopped: the player ended its playback with closeStream or deleteStream.
	ErrStopped = errors.New("playback stopped by client")
	// ErrReplaced: the player asked for something else on the same stream.
	ErrReplaced = errors.New("playback replaced by client")
)

// Levels of a status.
const (
	levelStatus  = "status"
	levelWarning = "warning"
	levelError   = "error"
)

// Status codes that a Handler refuses with.
const (
	CodeConnectRejected    = "NetConnection.Connect.Rejected"
	CodeConnectAppShutdown = "NetConnection.Connect.AppShutdown"
	CodePublishBadName     = "NetStream.Publish.BadName"
	CodePublishDenied      = "NetStream.Publish.Denied"
	CodePlayNotFound       = "NetStream.Play.StreamNotFound"
	CodePlayFailed         = "NetStream.Play.Failed"
)

// StatusError is a status object (§7.2.2) that ends something: what a Handler returns in order to
// refuse, and what a Client returns when it was refused.
type StatusError struct {
	// Level is "error" if empty.
	Level       string
	Code        string
	Description string
	// Err is the cause inside this process, if there is one. It is never sent.
	Err error
}

func (e *StatusError) Error() string {
	s := e.Code
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *StatusError) Unwrap() error { return e.Err }

func protocolErrorf(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrProtocol)...)
}

func limitErrorf(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrLimit)...)
}
